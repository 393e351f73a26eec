"""Merging a pull request: the three methods, made of git objects without a work tree."""

from typing import TYPE_CHECKING, Literal

from forge import history, pulls, rulesets, signatures
from forge.auth import Actor
from forge.errors import GitHubError
from forge.git import ZERO, Bare, Person
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

Method = Literal["merge", "squash", "rebase"]

WEB_FLOW = "noreply@github.com"
NOT_MERGEABLE = "Pull Request is not mergeable"


def person(forge: "Forge", user: Row) -> Person:
    """The author of a commit that a user makes through the API."""
    address = f"{user['id']}+{user['login']}@users.noreply.github.com"
    return Person(user["name"] or user["login"], user["email"] or address, forge.now())


def web_flow(forge: "Forge") -> Person:
    """The committer of what is made through the API on a person's behalf."""
    return Person("GitHub", WEB_FLOW, forge.now())


def merge(
    forge: "Forge",
    repo: Row,
    number: int,
    actor: Actor,
    *,
    method: Method = "merge",
    sha: str | None = None,
    title: str | None = None,
    message: str | None = None,
) -> str:
    """Merges and returns the new head of the base; 405 where it cannot be, 409 where a branch moved meanwhile."""
    if not repo[{"merge": "allow_merge_commit"}.get(method, f"allow_{method}_merge")]:
        raise GitHubError(405, f"{method.capitalize()} merges are not allowed on this repository.")
    with forge.git.lock(repo):
        row = pulls.find(forge, repo, number)
        if row["state"] != "open" or row["draft"]:
            raise GitHubError(405, NOT_MERGEABLE)
        if sha is not None and sha != row["head_sha"]:
            raise GitHubError(409, "Head branch was modified. Review and try the merge again.")
        bare, ref = forge.git.of(repo), f"refs/heads/{row['base_ref']}"
        base = bare.ref(ref)
        if base is None:
            raise GitHubError(405, "Base branch does not exist")
        new = _merged(forge, repo, row, actor, base, method, title, message)
        move = rulesets.Move(ref, base, new, "merge", row["head_sha"], row)
        rulesets.check(forge, repo, move, actor, 405)
        # Kept before the branch moves: after a crash in between, the start sees by it which pull request was merged.
        _intend(forge, row, new)
        if not bare.move(ref, new, base):
            _intend(forge, row, None)
            raise GitHubError(409, "Base branch was modified. Review and try the merge again.")
        forge.pushed(repo, ref, base, new, actor)
    if repo["delete_branch_on_merge"]:
        delete_branch(forge, repo, row["head_ref"], actor)
    return new


def delete_branch(forge: "Forge", repo: Row, branch: str, actor: Actor) -> bool:
    """Deletes and announces; False if there is no such branch or a rule keeps it."""
    ref = f"refs/heads/{branch}"
    with forge.git.lock(repo):
        old = forge.git.of(repo).ref(ref)
        if old is None or rulesets.violations(forge, repo, rulesets.Move(ref, old, ZERO, "api"), actor):
            return False
        if not forge.git.of(repo).move(ref, ZERO, old):
            return False
        forge.pushed(repo, ref, old, ZERO, actor)
        return True


def _intend(forge: "Forge", row: Row, sha: str | None) -> None:
    forge.db.run("UPDATE pulls SET merge_commit_sha = ? WHERE issue_id = ?", sha, row["id"])


def _merged(
    forge: "Forge",
    repo: Row,
    row: Row,
    actor: Actor,
    base: str,
    method: Method,
    title: str | None,
    message: str | None,
) -> str:
    """The commit that the base shall point to."""
    bare, head = forge.git.of(repo), str(row["head_sha"])
    author, committer = person(forge, actor.user), web_flow(forge)
    if method == "rebase":
        return rebased(bare, base, head, committer)
    tree = bare.merged_tree(base, head)
    if tree is None:
        raise GitHubError(405, NOT_MERGEABLE)
    if method == "squash":
        commits = history.between(bare, base, head)
        said = "\n\n".join(f"* {commit.message}" for commit in commits) if len(commits) > 1 else ""
        text = _text(title or f"{row['title']} (#{row['number']})", said if message is None else message)
        return signatures.sign(forge, bare, bare.commit_tree(tree, [base], text, author, committer))
    head_owner = forge.repo_by_id(row["head_repo_id"])["owner_login"]
    default = f"Merge pull request #{row['number']} from {head_owner}/{row['head_ref']}"
    text = _text(title or default, row["title"] if message is None else message)
    return signatures.sign(forge, bare, bare.commit_tree(tree, [base, head], text, author, committer))


def _text(title: str, message: str) -> str:
    return f"{title}\n\n{message}\n" if message else f"{title}\n"


def rebased(bare: Bare, onto: str, head: str, committer: Person) -> str:
    """The commits of `head` again on `onto`, one by one; 405 at a conflict. Merge commits are left out, as git does."""
    tip = onto
    for commit in history.log(bare, head, f"^{onto}", limit=0, reverse=True):
        if len(commit.parents) != 1:
            continue
        tip = _picked(bare, tip, commit, committer)
    return tip


def _picked(bare: Bare, tip: str, commit: history.Commit, committer: Person) -> str:
    parent = commit.parents[0]
    current = history.commit(bare, tip)
    # A stand-in for the tip with the commit's own parent: it makes that parent the merge base, which
    # `merge-tree` of git < 2.40 cannot be told.
    stand_in = bare.commit_tree(current.tree, [parent], "stand-in\n", current.author, current.committer)
    tree = bare.merged_tree(stand_in, commit.sha)
    if tree is None:
        raise GitHubError(405, "This branch can't be rebased")
    if tree == current.tree:
        return tip
    return bare.commit_tree(tree, [tip], commit.message + "\n", commit.author, committer)


def update_branch(forge: "Forge", repo: Row, row: Row, actor: Actor, expected: str | None) -> None:
    """Merges the base into the head branch; 422 where the head moved, they conflict, or there is nothing new."""
    with forge.git.lock(repo):
        bare, ref = forge.git.of(repo), f"refs/heads/{row['head_ref']}"
        head, base = bare.ref(ref), bare.ref(f"refs/heads/{row['base_ref']}")
        if head is None or base is None or (expected is not None and expected != head):
            raise GitHubError(422, f"expected head sha didn't match current head ref {row['head_ref']}.")
        if bare.descends(head, base):
            raise GitHubError(422, "There are no new commits on the base branch.")
        tree = bare.merged_tree(head, base)
        if tree is None:
            raise GitHubError(422, "merge conflict between base and head")
        text = f"Merge branch '{row['base_ref']}' into {row['head_ref']}\n"
        new = bare.commit_tree(tree, [head, base], text, person(forge, actor.user), web_flow(forge))
        new = signatures.sign(forge, bare, new)
        rulesets.check(forge, repo, rulesets.Move(ref, head, new, "api"), actor)
        if not bare.move(ref, new, head):
            raise GitHubError(422, f"expected head sha didn't match current head ref {row['head_ref']}.")
        forge.pushed(repo, ref, head, new, actor)
