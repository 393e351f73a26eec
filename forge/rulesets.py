"""Rulesets: which rules apply to a branch, and which of them a move of that branch would break."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from forge import history, signatures
from forge.auth import ROLES, Actor
from forge.errors import GitHubError, JsonDict
from forge.git import ZERO, Bare
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

How = Literal["push", "api", "merge"]

HEADS = "refs/heads/"
WORKFLOWS = ".github/workflows/"
VIOLATED = "Repository rule violations found"
BYPASSING_ROLES: Mapping[int, str] = {2: "maintain", 4: "write", 5: "admin"}  # GitHub's ids of its roles


@dataclass(frozen=True, slots=True)
class Move:
    """A ref that is about to move; `ZERO` means absent. `checked` is the commit that status checks must be green on."""

    ref: str
    before: str
    after: str
    how: How = "push"
    checked: str | None = None
    pull: Row | None = None

    @property
    def created(self) -> bool:
        return self.before == ZERO

    @property
    def deleted(self) -> bool:
        return self.after == ZERO


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule in GitHub's words, with the commits that break it where GitHub lists them."""

    text: str
    commits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Case:
    """What a rule looks at."""

    forge: "Forge"
    repo: Row
    move: Move
    parameters: Mapping[str, Any]

    @property
    def bare(self) -> Bare:
        return self.forge.git.of(self.repo)

    def commits(self) -> list[history.Commit]:
        """The commits that the move brings to the branch; for a new branch those that no branch has yet."""
        return brought(self.bare, self.move)


def brought(bare: Bare, move: Move) -> list[history.Commit]:
    """The commits that a move brings to its ref; for a new one those that no branch has yet."""
    if move.deleted:
        return []
    known = ["--not", "--branches"] if move.created else [f"^{move.before}"]
    return history.log(bare, move.after, *known, limit=0)


def active(forge: "Forge", repo: Row, ref: str) -> list[tuple[Row, JsonDict]]:
    """Every (ruleset, rule) that is enforced on a ref, oldest ruleset first."""
    rows = forge.db.all(
        "SELECT * FROM rulesets WHERE repo_id = ? AND enforcement = 'active' ORDER BY id", repo["id"]
    )
    return [(row, rule) for row in rows if _covers(row, repo, ref) for rule in json.loads(row["rules"])]


def _covers(row: Row, repo: Row, ref: str) -> bool:
    if not ref.startswith(HEADS if row["target"] == "branch" else "refs/tags/"):
        return False
    named = json.loads(row["conditions"]).get("ref_name", {})

    def among(patterns: list[str]) -> bool:
        return any(_fits(pattern, ref, f"{HEADS}{repo['default_branch']}") for pattern in patterns)

    return among(named.get("include", [])) and not among(named.get("exclude", []))


def _fits(pattern: str, ref: str, default: str) -> bool:
    if pattern in ("~ALL", "~DEFAULT_BRANCH"):
        return pattern == "~ALL" or ref == default
    return re.fullmatch(_regex(pattern), ref) is not None


def _regex(pattern: str) -> str:
    """Ruby's File.fnmatch with FNM_PATHNAME: `*` stays within a part, `**/` spans any number of them."""
    parts = re.split(r"(\*\*/|\*+|\?|\[[^]]*\])", pattern)
    known = {"**/": "(?:.*/)?", "?": "[^/]"}
    return "".join(
        known.get(part) or ("[^/]*" if part.startswith("*") else part if part[:1] == "[" else re.escape(part))
        for part in parts
        if part
    )


def violations(forge: "Forge", repo: Row, move: Move, actor: Actor) -> list[Violation]:
    """The rules that a move would break, in GitHub's words; empty where it is fine or the actor may bypass them."""
    found: list[Violation] = []
    for row, rule in active(forge, repo, move.ref):
        if not may_bypass(row, repo, actor):
            case = _Case(forge, repo, move, rule.get("parameters") or {})
            found += (each for each in RULES[rule["type"]](case) if each not in found)
    return found + _workflows(forge, repo, move, actor)


def may_write_workflows(actor: Actor) -> bool:
    """Whether the caller may change what GitHub Actions run; an App needs a permission of its own for that."""
    return actor.kind != "installation" or actor.permissions.get("workflows") == "write"


def _workflows(forge: "Forge", repo: Row, move: Move, actor: Actor) -> list[Violation]:
    if may_write_workflows(actor) or not move.ref.startswith(HEADS):
        return []
    bare = forge.git.of(repo)
    for commit in brought(bare, move):
        for path in sorted(path for paths in history.paths(bare, commit.sha) for path in paths):
            if path.startswith(WORKFLOWS):
                what = f"refusing to allow a GitHub App to create or update workflow `{path}`"
                return [Violation(f"{what} without `workflows` permission")]
    return []


def may_bypass(row: Row, repo: Row, actor: Actor) -> bool:
    """Whether the ruleset names the actor's App or role."""
    for each in json.loads(row["bypass_actors"]):
        kind, number = each["actor_type"], each.get("actor_id")
        if kind == "Integration" and actor.app_id == number and actor.app_id is not None:
            return True
        needed = BYPASSING_ROLES.get(number) if kind == "RepositoryRole" else None
        if needed is not None and actor.kind == "user" and ROLES[actor.role(repo)] >= ROLES[needed]:
            return True
    return False


def check(forge: "Forge", repo: Row, move: Move, actor: Actor, status: int = 422) -> None:
    """Raises what the API answers where a move breaks a rule; GitHub names no rule where a ref is created."""
    found = violations(forge, repo, move, actor)
    if not found:
        return
    if move.how == "api" and move.created:
        raise GitHubError(422, "Reference update failed")
    raise GitHubError(status, f"{VIOLATED}\n\n" + "\n\n".join(each.text for each in found) + "\n\n")


def declined(forge: "Forge", repo: Row, ref: str, found: list[Violation]) -> str:
    """What git's client prints after `remote: ` where a push breaks rules."""
    page = f"{forge.url}/{repo['owner_login']}/{repo['name']}/rules?ref={ref.replace('/', '%2F')}"
    lines = [
        f"error: GH013: {VIOLATED} for {ref}.",
        f"Review all repository rules at {page}",
        "",
    ]
    for each in found:
        lines.append(f"- {each.text}")
        if each.commits:
            count = len(each.commits)
            lines += [f"  Found {count} violation{'s' if count > 1 else ''}:", ""]
            lines += [f"  {sha}" for sha in each.commits]
        lines.append("")
    return "\n".join(lines) + "\n"


# --- the rules


def _creation(case: _Case) -> Iterator[Violation]:
    if case.move.created:
        yield Violation("Cannot create ref due to creations being restricted.")


def _update(case: _Case) -> Iterator[Violation]:
    if not (case.move.created or case.move.deleted):
        yield Violation("Cannot update this protected ref.")


def _deletion(case: _Case) -> Iterator[Violation]:
    if case.move.deleted:
        yield Violation("Cannot delete this protected ref.")


def _non_fast_forward(case: _Case) -> Iterator[Violation]:
    move = case.move
    if not (move.created or move.deleted or case.bare.descends(move.after, move.before)):
        yield Violation("Cannot force-push to this branch")


def _linear_history(case: _Case) -> Iterator[Violation]:
    merges = tuple(commit.sha for commit in case.commits() if len(commit.parents) > 1)
    if merges:
        yield Violation("This branch must not contain merge commits.", merges)


def _signatures(case: _Case) -> Iterator[Violation]:
    unsigned = [each.sha for each in case.commits() if not signatures.verified(case.forge, each.sha)]
    if unsigned:
        yield Violation("Commits must have verified signatures.", tuple(unsigned))


def _pull_request(case: _Case) -> Iterator[Violation]:
    move = case.move
    if move.how != "merge":
        if not move.deleted and case.commits():
            yield Violation("Changes must be made through a pull request.")
        return
    needed = int(case.parameters.get("required_approving_review_count", 0))
    pull = move.pull
    if pull is not None and _approvals(case.forge, pull) < needed:
        plural = "s" if needed > 1 else ""
        yield Violation(
            f"At least {needed} approving review{plural} is required by reviewers with write access."
        )


def _approvals(forge: "Forge", pull: Row) -> int:
    """The people whose last verdict is an approval."""
    rows = forge.db.all(
        "SELECT user_id, state FROM reviews WHERE issue_id = ? AND state IN"
        " ('APPROVED', 'CHANGES_REQUESTED', 'DISMISSED') ORDER BY id",
        pull["id"],
    )
    last = {row["user_id"]: row["state"] for row in rows}
    return sum(state == "APPROVED" for state in last.values())


def _status_checks(case: _Case) -> Iterator[Violation]:
    move = case.move
    if move.deleted or (move.created and case.parameters.get("do_not_enforce_on_create")):
        return
    wanted = [str(each["context"]) for each in case.parameters.get("required_status_checks", [])]
    sha = move.checked or move.after
    missing = [name for name in wanted if not _green(case.forge, case.repo, sha, name)]
    if len(missing) == 1:
        yield Violation(f'Required status check "{missing[0]}" is expected.')
    elif missing:
        yield Violation(f"{len(missing)} of {len(wanted)} required status checks are expected.")


def _green(forge: "Forge", repo: Row, sha: str, name: str) -> bool:
    """Whether the newest run or status of that name is good."""
    run = forge.db.one(
        "SELECT conclusion FROM check_runs WHERE repo_id = ? AND head_sha = ? AND name = ? ORDER BY id DESC",
        repo["id"],
        sha,
        name,
    )
    if run is not None:
        return run["conclusion"] in ("success", "neutral", "skipped")
    status = forge.db.one(
        "SELECT state FROM statuses WHERE repo_id = ? AND sha = ? AND context = ? ORDER BY id DESC",
        repo["id"],
        sha,
        name,
    )
    return status is not None and status["state"] == "success"


def _pattern(subject: str, read: Callable[[history.Commit], str]) -> Callable[[_Case], Iterator[Violation]]:
    """A rule on one text of every new commit."""

    def rule(case: _Case) -> Iterator[Violation]:
        bad = tuple(each.sha for each in case.commits() if not holds(case.parameters, read(each)))
        if bad:
            yield Violation(_sentence(subject, case.parameters), bad)

    return rule


def _branch_name(case: _Case) -> Iterator[Violation]:
    if case.move.created and not holds(case.parameters, case.move.ref.removeprefix(HEADS)):
        yield Violation(_sentence("Branch name", case.parameters))


def holds(parameters: Mapping[str, Any], text: str) -> bool:
    """Whether a text satisfies the parameters of a pattern rule."""
    pattern = str(parameters["pattern"])
    tests: Mapping[str, Callable[[], bool]] = {
        "starts_with": lambda: text.startswith(pattern),
        "ends_with": lambda: text.endswith(pattern),
        "contains": lambda: pattern in text,
        "regex": lambda: re.search(pattern, text) is not None,
    }
    return tests[parameters["operator"]]() != bool(parameters.get("negate"))


def _sentence(subject: str, parameters: Mapping[str, Any]) -> str:
    verbs = {"starts_with": "start with", "ends_with": "end with", "contains": "contain", "regex": "match"}
    must = "must not" if parameters.get("negate") else "must"
    kind = "regex" if parameters["operator"] == "regex" else "pattern"
    return f"{subject} {must} {verbs[parameters['operator']]} a given {kind}: {parameters['pattern']}"


RULES: Mapping[str, Callable[[_Case], Iterator[Violation]]] = {
    "creation": _creation,
    "update": _update,
    "deletion": _deletion,
    "non_fast_forward": _non_fast_forward,
    "required_linear_history": _linear_history,
    "required_signatures": _signatures,
    "pull_request": _pull_request,
    "required_status_checks": _status_checks,
    "commit_message_pattern": _pattern("Commit message", lambda commit: commit.message),
    "commit_author_email_pattern": _pattern("Commit author email", lambda commit: commit.author.email),
    "committer_email_pattern": _pattern("Committer email", lambda commit: commit.committer.email),
    "branch_name_pattern": _branch_name,
}
