"""Rulesets: what they cover, and how a git push and an API write are refused, in GitHub's words."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.forge.conftest import ForgeUnderTest, Person

REVIEWED = {
    "dismiss_stale_reviews_on_push": False,
    "require_code_owner_review": False,
    "require_last_push_approval": False,
    "required_approving_review_count": 0,
    "required_review_thread_resolution": False,
}


def govern(owner: Person, repo: str, *rules: str | dict[str, Any], **more: Any) -> int:
    """Makes an active ruleset on the branches of the bot's prefix; its id."""
    wish = {
        "name": "Rules",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["refs/heads/agent/**/*"], "exclude": []}},
        "rules": [{"type": rule} if isinstance(rule, str) else rule for rule in rules],
        **more,
    }
    answer = owner.api.post(f"/repos/{repo}/rulesets", json=wish)
    assert answer.status_code == 201, answer.text
    number: int = answer.json()["id"]
    return number


@pytest.fixture
def owner(forge: ForgeUnderTest) -> Person:
    return forge.create_user()


@pytest.fixture
def repo(forge: ForgeUnderTest, owner: Person) -> str:
    return forge.create_repo(owner)


@pytest.fixture
def clone(forge: ForgeUnderTest, owner: Person, repo: str) -> Path:
    """A clone with one commit more than the forge has."""
    folder = forge.clone(repo, owner.token)
    (folder / "new.txt").write_text("new\n")
    forge.git("add", ".", cwd=folder)
    forge.git("commit", "-qm", "Add a file", cwd=folder)
    return folder


def push(forge: ForgeUnderTest, clone: Path, *args: str) -> tuple[int, str]:
    """Exit code of a push and what git printed, without the spaces that it pads remote lines with."""
    done = forge.git("push", "origin", *args, cwd=clone, check=False)
    return done.returncode, "\n".join(line.rstrip() for line in done.stderr.splitlines())


def test_a_push_that_a_rule_forbids_is_declined_in_githubs_words(
    forge: ForgeUnderTest, owner: Person, repo: str, clone: Path
) -> None:
    govern(owner, repo, "creation", "required_signatures")
    sha = forge.git("rev-parse", "HEAD", cwd=clone).stdout.strip()
    code, said = push(forge, clone, "HEAD:refs/heads/agent/issue-1/T-1-a1")
    assert code == 1
    expected = f"""\
remote: error: GH013: Repository rule violations found for refs/heads/agent/issue-1/T-1-a1.
remote: Review all repository rules at {forge.url}/{repo}/rules?ref=refs%2Fheads%2Fagent%2Fissue-1%2FT-1-a1
remote:
remote: - Cannot create ref due to creations being restricted.
remote:
remote: - Commits must have verified signatures.
remote:   Found 1 violation:
remote:
remote:   {sha}
remote:
"""
    assert expected in said
    assert (
        "! [remote rejected] HEAD -> agent/issue-1/T-1-a1 (push declined due to repository rule violations)"
        in said
    )
    refs = owner.api.get(f"/repos/{repo}/git/matching-refs/heads/agent").json()
    assert refs == []


def test_a_push_elsewhere_or_after_the_ruleset_is_gone_goes_through(
    forge: ForgeUnderTest, owner: Person, repo: str, clone: Path
) -> None:
    number = govern(owner, repo, "creation")
    assert push(forge, clone, "HEAD:refs/heads/topic")[0] == 0
    assert push(forge, clone, "HEAD:refs/heads/agent/x")[0] == 1
    assert owner.api.delete(f"/repos/{repo}/rulesets/{number}").status_code == 204
    assert push(forge, clone, "HEAD:refs/heads/agent/x")[0] == 0


def test_a_disabled_ruleset_forbids_nothing(
    forge: ForgeUnderTest, owner: Person, repo: str, clone: Path
) -> None:
    govern(owner, repo, "creation", enforcement="disabled")
    assert owner.api.get(f"/repos/{repo}/rules/branches/agent/x").json() == []
    assert push(forge, clone, "HEAD:refs/heads/agent/x")[0] == 0


def test_force_deletion_update_and_merges_each_have_a_rule(
    forge: ForgeUnderTest, owner: Person, repo: str, clone: Path
) -> None:
    assert push(forge, clone, "HEAD:refs/heads/agent/x")[0] == 0
    govern(owner, repo, "non_fast_forward", "deletion", "required_linear_history")
    forge.git("commit", "-q", "--amend", "-m", "Another text", cwd=clone)
    assert "- Cannot force-push to this branch" in push(forge, clone, "+HEAD:refs/heads/agent/x")[1]
    assert "- Cannot delete this protected ref." in push(forge, clone, ":refs/heads/agent/x")[1]
    forge.git("merge", "-q", "--no-edit", "origin/agent/x", cwd=clone)
    said = push(forge, clone, "HEAD:refs/heads/agent/x")[1]
    assert "- This branch must not contain merge commits." in said
    govern(owner, repo, "update")
    forge.git("checkout", "-q", "-b", "straight", "origin/agent/x", cwd=clone)
    forge.git("commit", "-q", "--allow-empty", "-m", "One more", cwd=clone)
    assert "- Cannot update this protected ref." in push(forge, clone, "HEAD:refs/heads/agent/x")[1]


def test_texts_of_commits_and_branches_can_be_ruled(
    forge: ForgeUnderTest, owner: Person, repo: str, clone: Path
) -> None:
    pattern = {"operator": "regex", "pattern": "^(feat|fix): "}
    ticket = {"operator": "starts_with", "pattern": "agent/", "negate": True}
    govern(
        owner,
        repo,
        {"type": "commit_message_pattern", "parameters": pattern},
        {"type": "branch_name_pattern", "parameters": ticket},
    )
    said = push(forge, clone, "HEAD:refs/heads/agent/x")[1]
    assert "- Commit message must match a given regex: ^(feat|fix):" in said
    assert "- Branch name must not start with a given pattern: agent/" in said


def test_an_app_commits_signed_by_the_api_and_is_let_in(
    forge: ForgeUnderTest, owner: Person, repo: str
) -> None:
    govern(owner, repo, "required_signatures")
    bot = forge.installed(repo)
    signed = _commit(bot, repo)
    assert bot.get(f"/repos/{repo}/commits/{signed}").json()["commit"]["verification"]["verified"] is True
    own = {"author": {"name": "Ada", "email": "ada@example.org"}}
    unsigned = _commit(bot, repo, **own)
    wish = {"ref": "refs/heads/agent/x", "sha": unsigned}
    refused = bot.post(f"/repos/{repo}/git/refs", json=wish)
    assert (refused.status_code, refused.json()["message"]) == (422, "Reference update failed")
    assert bot.post(f"/repos/{repo}/git/refs", json={**wish, "sha": signed}).status_code == 201
    moved = bot.patch(f"/repos/{repo}/git/refs/heads/agent/x", json={"sha": unsigned, "force": True})
    sentence = "Repository rule violations found\n\nCommits must have verified signatures.\n\n"
    assert (moved.status_code, moved.json()["message"]) == (422, sentence)
    person = _commit(owner.api, repo)
    shown = owner.api.get(f"/repos/{repo}/git/commits/{person}").json()["verification"]
    assert (shown["verified"], shown["reason"]) == (False, "unsigned")


def _commit(api: httpx.Client, repo: str, **more: Any) -> str:
    base = api.get(f"/repos/{repo}/git/ref/heads/main").json()["object"]["sha"]
    entry = {"path": "a.txt", "mode": "100644", "type": "blob", "content": "a\n"}
    tree = api.post(f"/repos/{repo}/git/trees", json={"base_tree": base, "tree": [entry]}).json()["sha"]
    wish = {"message": "Add a", "tree": tree, "parents": [base], **more}
    sha: str = api.post(f"/repos/{repo}/git/commits", json=wish).json()["sha"]
    return sha


def test_an_app_changes_no_workflow_without_its_permission(
    forge: ForgeUnderTest, owner: Person, repo: str, clone: Path
) -> None:
    bot = forge.installed(repo)
    token = bot.headers["authorization"].removeprefix("Bearer ")
    forge.git("remote", "set-url", "origin", forge.clone_url(repo, token), cwd=clone)
    assert push(forge, clone, "HEAD:refs/heads/agent/fine")[0] == 0
    workflow = clone / ".github" / "workflows" / "ci.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text("on: push\n")
    forge.git("add", ".", cwd=clone)
    forge.git("commit", "-qm", "Add CI", cwd=clone)
    sentence = (
        "- refusing to allow a GitHub App to create or update workflow `.github/workflows/ci.yml` "
        "without `workflows` permission"
    )
    assert sentence in push(forge, clone, "HEAD:refs/heads/agent/ci")[1]
    wish = {"message": "Add CI", "content": "eA=="}
    assert bot.put(f"/repos/{repo}/contents/.github/workflows/ci.yml", json=wish).status_code == 403
    forge.git("remote", "set-url", "origin", forge.clone_url(repo, owner.token), cwd=clone)
    assert push(forge, clone, "HEAD:refs/heads/main")[0] == 0
    # What is on a branch already is nobody's change.
    forge.git("remote", "set-url", "origin", forge.clone_url(repo, token), cwd=clone)
    assert push(forge, clone, "HEAD:refs/heads/agent/ci")[0] == 0


def test_a_branch_that_demands_pull_requests_and_checks_takes_merges_only(
    forge: ForgeUnderTest, owner: Person, repo: str
) -> None:
    pull = forge.open_pull(owner.api, repo)
    checks = {
        "strict_required_status_checks_policy": False,
        "required_status_checks": [{"context": "ci"}],
    }
    govern(
        owner,
        repo,
        {"type": "pull_request", "parameters": REVIEWED},
        {"type": "required_status_checks", "parameters": checks},
        conditions={"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
    )
    direct = {"message": "Write", "content": "eA==", "branch": "main"}
    refused = owner.api.put(f"/repos/{repo}/contents/x.txt", json=direct)
    assert refused.status_code == 409
    assert "Changes must be made through a pull request." in refused.json()["message"]
    merge = f"/repos/{repo}/pulls/{pull['number']}/merge"
    early = owner.api.put(merge)
    assert (early.status_code, early.json()["message"]) == (
        405,
        'Repository rule violations found\n\nRequired status check "ci" is expected.\n\n',
    )
    status = {"state": "success", "context": "ci"}
    assert owner.api.post(f"/repos/{repo}/statuses/{pull['head']['sha']}", json=status).status_code == 201
    assert owner.api.put(merge).status_code == 200


def test_who_may_bypass_is_let_through(forge: ForgeUnderTest, owner: Person, repo: str, clone: Path) -> None:
    helper = forge.create_user()
    forge.set_role(repo, helper.login, "write")
    admins = [{"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}]
    number = govern(owner, repo, "creation", bypass_actors=admins)
    shown = helper.api.get(f"/repos/{repo}/rulesets/{number}").json()
    assert shown["current_user_can_bypass"] == "never"
    assert push(forge, clone, "HEAD:refs/heads/agent/owner")[0] == 0
    forge.git("remote", "set-url", "origin", forge.clone_url(repo, helper.token), cwd=clone)
    assert push(forge, clone, "HEAD:refs/heads/agent/helper")[0] == 1


def test_only_administrators_make_rulesets_and_only_of_rules_that_are_enforced(
    forge: ForgeUnderTest, owner: Person, repo: str
) -> None:
    helper = forge.create_user()
    forge.set_role(repo, helper.login, "write")
    wish = {"name": "Rules", "enforcement": "active", "rules": [{"type": "creation"}]}
    assert helper.api.post(f"/repos/{repo}/rulesets", json=wish).status_code == 404
    unknown = owner.api.post(f"/repos/{repo}/rulesets", json={**wish, "rules": [{"type": "merge_queue"}]})
    assert unknown.status_code == 422
    assert "merge_queue is not enforced by this forge" in unknown.text
    broken = {"type": "commit_message_pattern", "parameters": {"operator": "regex", "pattern": "("}}
    assert owner.api.post(f"/repos/{repo}/rulesets", json={**wish, "rules": [broken]}).status_code == 422


@pytest.mark.parametrize(
    ("pattern", "branch", "covered"),
    [
        ("~ALL", "main", True),
        ("~DEFAULT_BRANCH", "main", True),
        ("~DEFAULT_BRANCH", "agent/x", False),
        ("refs/heads/agent/*", "agent/x", True),
        ("refs/heads/agent/*", "agent/x/y", False),
        ("refs/heads/agent/**/*", "agent/x/y", True),
        ("refs/heads/agent/**/*", "agent/x", True),
        ("refs/heads/release-?", "release-1", True),
        ("refs/heads/release-[0-9]", "release-x", False),
        ("refs/heads/a.b", "axb", False),
    ],
)
def test_patterns_cover_branches_as_fnmatch_of_ruby_does(
    owner: Person, repo: str, pattern: str, branch: str, covered: bool
) -> None:
    named = {"ref_name": {"include": [pattern], "exclude": []}}
    govern(owner, repo, "creation", conditions=named)
    rules = owner.api.get(f"/repos/{repo}/rules/branches/{branch}").json()
    assert [rule["type"] for rule in rules] == (["creation"] if covered else [])
