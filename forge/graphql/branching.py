"""Owns the mutations of branches: refs made, moved and deleted, and commits made on a branch by the forge itself."""

import base64
import binascii

from graphql import GraphQLError

from forge import committing, history, rulesets
from forge.auth import Access
from forge.errors import GitHubError, unprocessable
from forge.git import ZERO, Change
from forge.graphql import commits
from forge.graphql.context import Context, Fields, RefusedError, decode, unresolved
from forge.routes import contents, gitdata
from forge.rulesets import Move

# GitHub's only words for a ref that is not where it was expected: no type, and nothing that tells it from other failures
# (github.com/orgs/community/discussions/213655).
STALE = (
    "Something went wrong while executing your query. Please include `0000:0000` when reporting this issue."
)


def repository(ctx: Context, global_id: str, *permissions: str) -> Access:
    """The repository that a mutation names, for whoever has any of the permissions to write."""
    kind, key = decode(global_id)
    row = ctx.forge.db.one("SELECT id FROM repos WHERE id = ?", key)
    if kind != "Repository" or row is None:
        raise unresolved(global_id)
    return ctx.need(ctx.forge.repo_by_id(row["id"]), "write", *permissions)


def _ref(ctx: Context, global_id: str) -> tuple[Access, str]:
    kind, key = decode(global_id)
    repo_id, _, name = key.partition(":")
    row = ctx.forge.db.one("SELECT id FROM repos WHERE id = ?", repo_id)
    if kind != "Ref" or row is None:
        raise unresolved(global_id)
    return ctx.need(ctx.forge.repo_by_id(row["id"]), "write", "contents"), name


def create_ref(ctx: Context, given: Fields) -> Fields:
    """A new branch or tag."""
    access = repository(ctx, given["repositoryId"], "contents")
    gitdata.create_ref(access, gitdata.NewRef(ref=given["name"], sha=given["oid"]))
    return {"ref": commits.ref(ctx, access.repo, given["name"], given["oid"])}


def move_ref(ctx: Context, given: Fields) -> Fields:
    """A branch or tag moved, only forward unless forced."""
    access, name = _ref(ctx, given["refId"])
    wish = gitdata.RefMove(sha=given["oid"], force=bool(given.get("force")))
    gitdata.move_ref(access, name.removeprefix("refs/"), wish)
    return {"ref": commits.ref(ctx, access.repo, name, given["oid"])}


def delete_ref(ctx: Context, given: Fields) -> Fields:
    """A branch or tag deleted."""
    access, name = _ref(ctx, given["refId"])
    gitdata.delete_ref(access, name.removeprefix("refs/"))
    return {}


def move_refs(ctx: Context, given: Fields) -> Fields:
    """Refs made, moved and deleted, all of them or none, each only if it still points to where it is expected."""
    access = repository(ctx, given["repositoryId"], "contents")
    forge, repo, bare = ctx.forge, access.repo, ctx.forge.git.of(access.repo)
    with forge.git.lock(repo):
        moves = [_checked(ctx, access, each) for each in given["refUpdates"]]
        for move in moves:
            if not bare.move(move.ref, move.after, move.before):
                raise GraphQLError(STALE)
            forge.pushed(repo, move.ref, move.before, move.after, access.actor)
    return {}


def _checked(ctx: Context, access: Access, wish: Fields) -> Move:
    bare, new = ctx.forge.git.of(access.repo), wish["afterOid"]
    gitdata.check_name(bare, wish["name"])
    old = bare.ref(wish["name"]) or ZERO
    if wish.get("beforeOid", old) != old:
        raise GraphQLError(STALE)
    if new != ZERO:
        gitdata.check_target(bare, wish["name"], new)
        if old != ZERO and not wish["force"] and not bare.descends(new, old):
            raise unprocessable("Update is not a fast forward")
    elif wish["name"] == f"refs/heads/{access.repo['default_branch']}":
        raise unprocessable("Cannot delete the default branch")
    move = Move(wish["name"], old, new, "api")
    rulesets.check(ctx.forge, access.repo, move, ctx.actor)
    return move


def commit(ctx: Context, given: Fields) -> Fields:
    """One commit with files added, changed and removed, signed by the forge, on a branch whose head is known."""
    access, branch = _branch(ctx, given["branch"])
    forge, repo, bare = ctx.forge, access.repo, ctx.forge.git.of(access.repo)
    files, message = given.get("fileChanges") or {}, given["message"]
    with forge.git.lock(repo):
        tip = bare.ref(f"refs/heads/{branch}")
        if tip is None:
            raise RefusedError("NOT_FOUND", f'The branch "{branch}" does not exist.')
        if tip != given["expectedHeadOid"]:
            sentence = f'Expected branch to point to "{given["expectedHeadOid"]}" but it did not. Pull and try again.'
            raise RefusedError("STALE_DATA", sentence)
        changes = [
            *(_addition(access, tip, each) for each in files.get("additions") or ()),
            *(_deletion(access, tip, each["path"]) for each in files.get("deletions") or ()),
        ]
        text = message["headline"] + (f"\n\n{message['body']}" if message.get("body") else "") + "\n"
        by = committing.people(forge, ctx.actor, None, None)
        new = committing.commit_change(forge, repo, branch, ctx.actor, tip, changes, text, by)
    return {
        "commit": commits.commit(ctx, repo, history.commit(bare, new)),
        "ref": commits.ref(ctx, repo, f"refs/heads/{branch}", new),
    }


def _branch(ctx: Context, given: Fields) -> tuple[Access, str]:
    if given.get("id"):
        access, name = _ref(ctx, given["id"])
        return access, name.removeprefix("refs/heads/")
    owner, _, name = (given.get("repositoryNameWithOwner") or "").partition("/")
    access = ctx.need(ctx.repository(owner, name), "write", "contents")
    return access, str(given.get("branchName") or "").removeprefix("refs/heads/")


def _addition(access: Access, tip: str, given: Fields) -> Change:
    path, bare = contents.checked(given["path"]), access.forge.git.of(access.repo)
    try:
        data = base64.b64decode(given["contents"], validate=True)
    except binascii.Error as error:
        raise GitHubError(422, f"contents of {path} is not valid Base64") from error
    known = bare.entry(tip, path)
    return Change(path, bare.write_blob(data), "100644" if known is None else known.mode)


def _deletion(access: Access, tip: str, path: str) -> Change:
    if access.forge.git.of(access.repo).entry(tip, contents.checked(path)) is None:
        raise RefusedError("UNPROCESSABLE", f"A path was requested for deletion which does not exist: {path}")
    return Change(path, None)
