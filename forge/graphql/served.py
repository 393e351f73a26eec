"""Owns which part of GitHub's GraphQL schema the forge answers: types, fields and arguments by name.

`python -m forge.graphql.regenerate` cuts GitHub's own schema down to this table; a query for anything else is
refused as GitHub refuses a field that does not exist. `()` behind a field lists its arguments, `@` the four of
a page; a field without brackets keeps none. Of a connection its nodes, edges, page and count are kept, of an
edge its node and cursor, without being listed.
"""

from collections.abc import Mapping

PAGE = ("after", "before", "first", "last")

_SPOKEN = (
    "id databaseId fullDatabaseId author authorAssociation body createdAt updatedAt url reactionGroups includesCreatedEdit"
    " viewerDidAuthor"
)
_CONVERSATION = (
    f"{_SPOKEN} number title bodyText closed closedAt locked activeLockReason labels(@,orderBy) assignees(@)"
    " milestone comments(@,orderBy) repository resourcePath projectCards(@) state"
)

OBJECTS: Mapping[str, str] = {
    "Query": "id repository(owner,name,followRenames) repositoryOwner(login) user(login) node(id) nodes(ids)"
    " viewer rateLimit(dryRun)",
    "Mutation": "addComment(input) addLabelsToLabelable(input) addPullRequestReview(input) addReaction(input)"
    " closeIssue(input) closePullRequest(input) createCommitOnBranch(input) createIssue(input)"
    " createLabel(input) createPullRequest(input) createRef(input) deleteIssue(input) deleteRef(input)"
    " mergePullRequest(input) minimizeComment(input) removeLabelsFromLabelable(input) reopenIssue(input)"
    " reopenPullRequest(input) unminimizeComment(input) updateIssue(input) updateIssueComment(input)"
    " updatePullRequest(input) updateRef(input) updateRefs(input)",
    "Repository": "id databaseId name nameWithOwner owner url resourcePath description homepageUrl isPrivate"
    " isArchived isFork isEmpty createdAt updatedAt pushedAt hasIssuesEnabled hasWikiEnabled parent"
    " viewerPermission viewerCanAdminister defaultBranchRef mergeCommitAllowed rebaseMergeAllowed"
    " squashMergeAllowed deleteBranchOnMerge ref(qualifiedName) refs(@,refPrefix) object(oid,expression)"
    " issue(number) issues(@,states,labels,filterBy,orderBy) pullRequest(number)"
    " pullRequests(@,states,labels,headRefName,baseRefName,orderBy) issueOrPullRequest(number) label(name)"
    " labels(@,query,orderBy)",
    "Issue": f"{_CONVERSATION} stateReason(enableDuplicate)",
    "PullRequest": f"{_CONVERSATION} permalink headRefName headRefOid headRef headRepository"
    " headRepositoryOwner isCrossRepository baseRefName baseRefOid baseRef baseRepository isDraft mergeable"
    " mergeStateStatus canBeRebased merged mergedAt mergedBy mergeCommit additions deletions changedFiles"
    " commits(@) reviews(@,states) latestReviews(@) reviewDecision reviewRequests(@) maintainerCanModify"
    " isInMergeQueue isMergeQueueEnabled autoMergeRequest statusCheckRollup",
    "IssueComment": f"{_SPOKEN} isMinimized minimizedReason repository issue pullRequest",
    "PullRequestReview": f"{_SPOKEN} state submittedAt commit pullRequest repository isMinimized minimizedReason",
    "Label": "id name color description isDefault url repository",
    "ReactionGroup": "content viewerHasReacted users(@)",
    "Reaction": "id databaseId content createdAt user",
    "Milestone": "id number title description dueOn",
    "ProjectCard": "id project column",
    "Project": "id name",
    "ProjectColumn": "id name",
    "AutoMergeRequest": "enabledAt",
    "ReviewRequest": "id requestedReviewer",
    "PullRequestCommit": "id commit pullRequest url",
    "User": "id databaseId login name url resourcePath avatarUrl(size) createdAt isSiteAdmin",
    "Bot": "id databaseId login url resourcePath avatarUrl(size) createdAt",
    "Organization": "id login name url resourcePath avatarUrl(size)",
    "Team": "id name slug organization",
    "Ref": "id name prefix target repository",
    "Commit": "id oid abbreviatedOid commitUrl url repository message messageHeadline messageBody author authors(@)"
    " committer authoredDate committedDate tree parents(@) history(@,path) status statusCheckRollup"
    " checkSuites(@)",
    "Tree": "id oid abbreviatedOid commitUrl repository entries",
    "TreeEntry": "name path type mode oid size object",
    "Blob": "id oid abbreviatedOid commitUrl repository text byteSize isBinary isTruncated",
    "GitActor": "name email date user",
    "Status": "id state contexts",
    "StatusCheckRollup": "id state contexts(@) commit",
    "StatusCheckRollupContextConnection": "checkRunCount statusContextCount",
    "CheckRun": "id databaseId name status conclusion startedAt completedAt detailsUrl externalId permalink url"
    " title summary text isRequired(pullRequestId,pullRequestNumber) checkSuite repository",
    "CheckSuite": "id databaseId app status conclusion createdAt updatedAt commit repository workflowRun"
    " checkRuns(@)",
    "StatusContext": "id context state description targetUrl createdAt creator commit"
    " isRequired(pullRequestId,pullRequestNumber)",
    "App": "id databaseId slug name",
    "WorkflowRun": "id databaseId workflow",
    "Workflow": "id name",
    "RateLimit": "cost limit nodeCount remaining resetAt used",
    "AddCommentPayload": "clientMutationId commentEdge subject",
    "AddLabelsToLabelablePayload": "clientMutationId labelable",
    "AddPullRequestReviewPayload": "clientMutationId pullRequestReview",
    "AddReactionPayload": "clientMutationId reaction subject",
    "CloseIssuePayload": "clientMutationId issue",
    "ClosePullRequestPayload": "clientMutationId pullRequest",
    "CreateCommitOnBranchPayload": "clientMutationId commit ref",
    "CreateIssuePayload": "clientMutationId issue",
    "CreateLabelPayload": "clientMutationId label",
    "CreatePullRequestPayload": "clientMutationId pullRequest",
    "CreateRefPayload": "clientMutationId ref",
    "DeleteIssuePayload": "clientMutationId repository",
    "DeleteRefPayload": "clientMutationId",
    "MergePullRequestPayload": "clientMutationId pullRequest actor",
    "MinimizeCommentPayload": "clientMutationId minimizedComment",
    "RemoveLabelsFromLabelablePayload": "clientMutationId labelable",
    "ReopenIssuePayload": "clientMutationId issue",
    "ReopenPullRequestPayload": "clientMutationId pullRequest",
    "UnminimizeCommentPayload": "clientMutationId unminimizedComment",
    "UpdateIssuePayload": "clientMutationId issue actor",
    "UpdateIssueCommentPayload": "clientMutationId issueComment",
    "UpdatePullRequestPayload": "clientMutationId pullRequest actor",
    "UpdateRefPayload": "clientMutationId ref",
    "UpdateRefsPayload": "clientMutationId",
}

INTERFACES: Mapping[str, str] = {
    "Node": "id",
    "Actor": "login url resourcePath avatarUrl(size)",
    "RepositoryOwner": "id login url resourcePath avatarUrl(size)",
    "GitObject": "id oid abbreviatedOid commitUrl repository",
    "Comment": "id author authorAssociation body createdAt updatedAt includesCreatedEdit viewerDidAuthor",
    "Labelable": "labels(@,orderBy)",
    "Minimizable": "isMinimized minimizedReason",
    "Reactable": "id databaseId reactionGroups",
}

# An input's fields that the forge does not know are left out: giving one is an error, not silence.
INPUTS: Mapping[str, str] = {
    "AddCommentInput": "clientMutationId subjectId body",
    "AddLabelsToLabelableInput": "clientMutationId labelableId labelIds",
    "AddPullRequestReviewInput": "clientMutationId pullRequestId body commitOID event",
    "AddReactionInput": "clientMutationId subjectId content",
    "CloseIssueInput": "clientMutationId issueId stateReason",
    "ClosePullRequestInput": "clientMutationId pullRequestId",
    "CommitMessage": "headline body",
    "CommittableBranch": "id repositoryNameWithOwner branchName",
    "CreateCommitOnBranchInput": "clientMutationId branch expectedHeadOid fileChanges message",
    "CreateIssueInput": "clientMutationId repositoryId title body labelIds assigneeIds milestoneId"
    " projectIds",
    "CreateLabelInput": "clientMutationId repositoryId name color description",
    "CreatePullRequestInput": "clientMutationId repositoryId title body headRefName baseRefName draft"
    " maintainerCanModify",
    "CreateRefInput": "clientMutationId repositoryId name oid",
    "DeleteIssueInput": "clientMutationId issueId",
    "DeleteRefInput": "clientMutationId refId",
    "FileAddition": "path contents",
    "FileChanges": "additions deletions",
    "FileDeletion": "path",
    "IssueCommentOrder": "field direction",
    "IssueFilters": "assignee createdBy labels mentioned states since",
    "IssueOrder": "field direction",
    "LabelOrder": "field direction",
    "MergePullRequestInput": "clientMutationId pullRequestId commitHeadline commitBody expectedHeadOid"
    " mergeMethod",
    "MinimizeCommentInput": "clientMutationId subjectId classifier",
    "RemoveLabelsFromLabelableInput": "clientMutationId labelableId labelIds",
    "ReopenIssueInput": "clientMutationId issueId",
    "ReopenPullRequestInput": "clientMutationId pullRequestId",
    "UnminimizeCommentInput": "clientMutationId subjectId",
    "UpdateIssueInput": "clientMutationId id title body state labelIds assigneeIds milestoneId projectIds",
    "UpdateIssueCommentInput": "clientMutationId id body",
    "UpdatePullRequestInput": "clientMutationId pullRequestId title body baseRefName state labelIds milestoneId"
    " projectIds",
    "RefUpdate": "name afterOid beforeOid force",
    "UpdateRefInput": "clientMutationId refId oid force",
    "UpdateRefsInput": "clientMutationId repositoryId refUpdates",
}

UNIONS = ("IssueOrPullRequest", "RequestedReviewer", "StatusCheckRollupContext")


def fields_of(listed: str) -> dict[str, tuple[str, ...]]:
    """The fields of one entry, each with the arguments that are kept."""
    found: dict[str, tuple[str, ...]] = {}
    for word in listed.split():
        name, _, rest = word.partition("(")
        named = [each for each in rest.rstrip(")").split(",") if each]
        found[name] = (*(PAGE if "@" in named else ()), *(each for each in named if each != "@"))
    return found
