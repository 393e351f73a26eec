"""The keys that GitHub's webhook objects have, taken from octokit's webhook schemas 7.6.1: they are fewer than REST's."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """The keys that an object keeps, and the shape of those keys that hold objects or lists of them."""

    keys: frozenset[str]
    nested: dict[str, str]


def _shape(keys: str, **nested: str) -> Shape:
    return Shape(frozenset(keys.split()), nested)


SHAPES: dict[str, Shape] = {
    "app": _shape(
        """
        id slug node_id owner name description external_url html_url created_at updated_at permissions
        events
        """,
        owner="user",
    ),
    "check_pull_request": _shape(
        """
        url id number head base
        """,
        head="check_pull_request_head",
        base="check_pull_request_base",
    ),
    "check_pull_request_base": _shape(
        """
        ref sha repo
        """,
        repo="repo_ref",
    ),
    "check_pull_request_head": _shape(
        """
        ref sha repo
        """,
        repo="repo_ref",
    ),
    "check_run": _shape(
        """
        id node_id head_sha external_id url html_url details_url status conclusion started_at
        completed_at output name check_suite app pull_requests deployment
        """,
        output="check_run_output",
        check_suite="check_run_suite",
        app="app",
        pull_requests="check_pull_request",
    ),
    "check_run_output": _shape(
        """
        title summary text annotations_count annotations_url
        """,
    ),
    "check_run_suite": _shape(
        """
        id node_id head_branch head_sha status conclusion url before after pull_requests deployment app
        created_at updated_at
        """,
        pull_requests="check_pull_request",
        app="app",
    ),
    "check_suite": _shape(
        """
        id node_id head_branch head_sha status conclusion url before after pull_requests app created_at
        updated_at runs_rerequestable rerequestable latest_check_runs_count check_runs_url head_commit
        """,
        pull_requests="check_pull_request",
        app="app",
        head_commit="commit_simple",
    ),
    "comment": _shape(
        """
        url html_url issue_url id node_id user created_at updated_at author_association body reactions
        performed_via_github_app
        """,
        user="user",
        reactions="reactions",
        performed_via_github_app="app",
    ),
    "commit": _shape(
        """
        sha node_id commit url html_url comments_url author committer parents
        """,
        commit="commit_facts",
        author="user",
        committer="user",
    ),
    "commit_facts": _shape(
        """
        author committer message tree url comment_count verification
        """,
        verification="verification",
    ),
    "commit_simple": _shape(
        """
        id tree_id message timestamp author committer
        """,
    ),
    "installation": _shape(
        """
        id account repository_selection access_tokens_url repositories_url html_url app_id app_slug
        target_id target_type permissions events created_at updated_at single_file_name
        has_multiple_single_files single_file_paths suspended_by suspended_at
        """,
        account="user",
        suspended_by="user",
    ),
    "issue": _shape(
        """
        url repository_url labels_url comments_url events_url html_url id node_id number title user
        labels state locked assignee assignees milestone comments created_at updated_at closed_at
        author_association active_lock_reason draft performed_via_github_app pull_request body reactions
        timeline_url state_reason
        """,
        user="user",
        labels="label",
        assignee="user",
        assignees="user",
        milestone="milestone",
        performed_via_github_app="app",
        pull_request="issue_pull_request",
        reactions="reactions",
    ),
    "issue_pull_request": _shape(
        """
        url html_url diff_url patch_url merged_at
        """,
    ),
    "label": _shape(
        """
        id node_id url name description color default
        """,
    ),
    "license": _shape(
        """
        key name spdx_id url node_id
        """,
    ),
    "milestone": _shape(
        """
        url html_url labels_url id node_id number title description creator open_issues closed_issues
        state created_at updated_at due_on closed_at
        """,
        creator="user",
    ),
    "organization": _shape(
        """
        login id node_id url html_url repos_url events_url hooks_url issues_url members_url
        public_members_url avatar_url description
        """,
    ),
    "pull_request": _shape(
        """
        url id node_id html_url diff_url patch_url issue_url number state locked title user body
        created_at updated_at closed_at merged_at merge_commit_sha assignee assignees
        requested_reviewers requested_teams labels milestone commits_url review_comments_url
        review_comment_url comments_url statuses_url head base _links author_association auto_merge
        active_lock_reason draft merged mergeable rebaseable mergeable_state merged_by comments
        review_comments maintainer_can_modify commits additions deletions changed_files
        """,
        user="user",
        assignee="user",
        assignees="user",
        requested_reviewers="user",
        labels="label",
        milestone="milestone",
        head="pull_request_head",
        base="pull_request_base",
        merged_by="user",
    ),
    "pull_request_base": _shape(
        """
        label ref sha user repo
        """,
        user="user",
        repo="repository",
    ),
    "pull_request_head": _shape(
        """
        label ref sha user repo
        """,
        user="user",
        repo="repository",
    ),
    "reactions": _shape(
        """
        url total_count +1 -1 laugh hooray confused heart rocket eyes
        """,
    ),
    "repo_ref": _shape(
        """
        id url name
        """,
    ),
    "repository": _shape(
        """
        id node_id name full_name private owner html_url description fork url forks_url keys_url
        collaborators_url teams_url hooks_url issue_events_url events_url assignees_url branches_url
        tags_url blobs_url git_tags_url git_refs_url trees_url statuses_url languages_url stargazers_url
        contributors_url subscribers_url subscription_url commits_url git_commits_url comments_url
        issue_comment_url contents_url compare_url merges_url archive_url downloads_url issues_url
        pulls_url milestones_url notifications_url labels_url releases_url deployments_url created_at
        updated_at pushed_at git_url ssh_url clone_url svn_url homepage size stargazers_count
        watchers_count language has_issues has_projects has_downloads has_wiki has_pages has_discussions
        forks_count mirror_url archived disabled open_issues_count license forks open_issues watchers
        stargazers default_branch allow_squash_merge allow_merge_commit allow_rebase_merge
        allow_auto_merge allow_forking allow_update_branch use_squash_pr_title_as_default
        squash_merge_commit_message squash_merge_commit_title merge_commit_message merge_commit_title
        is_template web_commit_signoff_required topics visibility delete_branch_on_merge master_branch
        permissions public organization custom_properties
        """,
        owner="user",
        license="license",
    ),
    "review": _shape(
        """
        id node_id user body commit_id submitted_at state html_url pull_request_url author_association
        _links
        """,
        user="user",
    ),
    "review_comment": _shape(
        """
        url pull_request_review_id id node_id diff_hunk path position original_position commit_id
        original_commit_id user body created_at updated_at html_url pull_request_url author_association
        _links start_line original_start_line original_line line start_side side reactions
        """,
        user="user",
    ),
    "simple_pull_request": _shape(
        """
        url id node_id html_url diff_url patch_url issue_url number state locked title user body
        created_at updated_at closed_at merged_at merge_commit_sha assignee assignees
        requested_reviewers requested_teams labels milestone draft commits_url review_comments_url
        review_comment_url comments_url statuses_url head base _links author_association auto_merge
        active_lock_reason
        """,
        user="user",
        assignee="user",
        assignees="user",
        requested_reviewers="user",
        labels="label",
        milestone="milestone",
        head="simple_pull_request_head",
        base="simple_pull_request_base",
    ),
    "simple_pull_request_base": _shape(
        """
        label ref sha user repo
        """,
        user="user",
        repo="repository",
    ),
    "simple_pull_request_head": _shape(
        """
        label ref sha user repo
        """,
        user="user",
        repo="repository",
    ),
    "user": _shape(
        """
        login id node_id name email avatar_url gravatar_id url html_url followers_url following_url
        gists_url starred_url subscriptions_url organizations_url repos_url events_url
        received_events_url type site_admin
        """,
    ),
    "verification": _shape(
        """
        verified reason signature payload
        """,
    ),
}
