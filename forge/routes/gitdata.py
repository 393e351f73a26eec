"""Routes of git's own data: refs, trees, commits and blobs."""

import base64
import binascii
import re
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from forge import committing, history, media, objects, rulesets, signatures
from forge.auth import Access, needs
from forge.committing import Signature
from forge.errors import GitHubError, JsonDict, not_found, unprocessable
from forge.git import ZERO, Bare, Change, GitError, TreeEntry
from forge.rulesets import Move

router = APIRouter()

Readable = Annotated[Access, needs("contents", "read")]
Writable = Annotated[Access, needs("contents", "write")]

SHA = re.compile(r"^[0-9a-f]{40}$")


class NewRef(BaseModel):
    """A ref to create; the full name, `refs/heads/...`."""

    ref: str
    sha: str


class RefMove(BaseModel):
    """Where a ref shall point; without force only forwards."""

    sha: str
    force: bool = False


class NewBlob(BaseModel):
    """A blob to store."""

    content: str
    encoding: Literal["utf-8", "base64"] = "utf-8"


class NewEntry(BaseModel):
    """One entry of a tree to make; `sha` null removes the path, `content` stores a file."""

    path: str
    mode: Literal["100644", "100755", "040000", "160000", "120000"] = "100644"
    type: Literal["blob", "tree", "commit"] = "blob"
    sha: str | None = None
    content: str | None = None


class NewTree(BaseModel):
    """A tree to make, on top of another one if named."""

    tree: list[NewEntry]
    base_tree: str | None = None


class NewCommit(BaseModel):
    """A commit to make; no branch moves."""

    message: str
    tree: str
    parents: list[str] = []
    author: Signature | None = None
    committer: Signature | None = None


def _ref(access: Access, ref: str, sha: str) -> JsonDict:
    api = objects.api_url(access.forge, access.repo)
    kind = (
        "commit" if ref.startswith("refs/heads/") else access.forge.git.of(access.repo).kind(sha) or "commit"
    )
    return {
        "ref": ref,
        "node_id": objects.node_id("Ref", f"{access.repo['id']}:{ref}"),
        "url": f"{api}/git/{ref}",
        "object": {"sha": sha, "type": kind, "url": f"{api}/git/{kind}s/{sha}"},
    }


@router.get("/repos/{owner}/{repo}/git/ref/{ref:path}")
def read_ref(access: Readable, ref: str) -> JSONResponse:
    sha = access.forge.git.of(access.repo).ref(f"refs/{ref}")
    if sha is None:
        raise not_found()
    return JSONResponse(_ref(access, f"refs/{ref}", sha))


@router.get("/repos/{owner}/{repo}/git/matching-refs/{ref:path}")
def list_matching(access: Readable, ref: str) -> JSONResponse:
    folder = f"refs/{ref}".rpartition("/")[0]
    found = access.forge.git.of(access.repo).refs(folder)
    return JSONResponse(
        [_ref(access, name, sha) for name, sha in sorted(found.items()) if name.startswith(f"refs/{ref}")]
    )


@router.post("/repos/{owner}/{repo}/git/refs")
def create_ref(access: Writable, body: NewRef) -> JSONResponse:
    forge, repo = access.forge, access.repo
    bare = forge.git.of(repo)
    check_name(bare, body.ref)
    check_target(bare, body.ref, body.sha)
    with forge.git.lock(repo):
        if bare.ref(body.ref) is not None:
            raise unprocessable("Reference already exists")
        rulesets.check(forge, repo, Move(body.ref, ZERO, body.sha, "api"), access.actor)
        if not bare.move(body.ref, body.sha, ZERO):
            raise unprocessable("Reference could not be created")
        forge.pushed(repo, body.ref, ZERO, body.sha, access.actor)
    return JSONResponse(_ref(access, body.ref, body.sha), 201)


@router.patch("/repos/{owner}/{repo}/git/refs/{ref:path}")
def move_ref(access: Writable, ref: str, body: RefMove) -> JSONResponse:
    forge, repo, name = access.forge, access.repo, f"refs/{ref}"
    bare = forge.git.of(repo)
    check_name(bare, name)
    check_target(bare, name, body.sha)
    with forge.git.lock(repo):
        old = bare.ref(name)
        if old is None:
            raise unprocessable("Reference does not exist")
        if not body.force and not bare.descends(body.sha, old):
            raise unprocessable("Update is not a fast forward")
        rulesets.check(forge, repo, Move(name, old, body.sha, "api"), access.actor)
        if not bare.move(name, body.sha, old):
            raise unprocessable("Reference cannot be updated")
        forge.pushed(repo, name, old, body.sha, access.actor)
    return JSONResponse(_ref(access, name, body.sha))


@router.delete("/repos/{owner}/{repo}/git/refs/{ref:path}")
def delete_ref(access: Writable, ref: str) -> Response:
    forge, repo, name = access.forge, access.repo, f"refs/{ref}"
    if name == f"refs/heads/{repo['default_branch']}":
        raise unprocessable("Cannot delete the default branch")
    bare = forge.git.of(repo)
    with forge.git.lock(repo):
        old = bare.ref(name) if name.startswith(("refs/heads/", "refs/tags/")) else None
        if old is None:
            raise unprocessable("Reference does not exist")
        rulesets.check(forge, repo, Move(name, old, ZERO, "api"), access.actor)
        if not bare.move(name, ZERO, old):
            raise unprocessable("Reference does not exist")
        forge.pushed(repo, name, old, ZERO, access.actor)
    return Response(status_code=204)


def check_name(bare: Bare, ref: str) -> None:
    """422 for what no branch or tag may be called."""
    if not ref.startswith(("refs/heads/", "refs/tags/")) or bare.attempt("check-ref-format", ref)[0] != 0:
        raise unprocessable("Reference name must start with 'refs/' and be well-formed")


def check_target(bare: Bare, ref: str, sha: str) -> None:
    """422 for what no branch or tag may point to."""
    kind = bare.kind(sha) if SHA.match(sha) else None
    if kind is None:
        raise unprocessable("Object does not exist")
    if ref.startswith("refs/heads/") and kind != "commit":
        raise unprocessable("Object is not a commit")


@router.get("/repos/{owner}/{repo}/git/blobs/{sha}")
def read_blob(access: Readable, request: Request, sha: str) -> Response:
    bare = access.forge.git.of(access.repo)
    if not SHA.match(sha) or bare.kind(sha) != "blob":
        raise not_found()
    data = bare.blob(sha)
    if media.wanted(request) == "raw":
        return Response(data, media_type="application/vnd.github.raw; charset=utf-8")
    shown = {
        "sha": sha,
        "node_id": objects.node_id("Blob", f"{access.repo['id']}:{sha}"),
        "size": len(data),
        "url": f"{objects.api_url(access.forge, access.repo)}/git/blobs/{sha}",
        "content": base64.encodebytes(data).decode(),
        "encoding": "base64",
    }
    return JSONResponse(shown)


@router.post("/repos/{owner}/{repo}/git/blobs")
def create_blob(access: Writable, body: NewBlob) -> JSONResponse:
    try:
        data = base64.b64decode(body.content) if body.encoding == "base64" else body.content.encode()
    except binascii.Error as error:
        raise unprocessable("content is not valid Base64") from error
    sha = access.forge.git.of(access.repo).write_blob(data)
    url = f"{objects.api_url(access.forge, access.repo)}/git/blobs/{sha}"
    return JSONResponse({"sha": sha, "url": url}, 201)


@router.get("/repos/{owner}/{repo}/git/trees/{tree:path}")
def read_tree(access: Readable, tree: str, recursive: str | None = None) -> JSONResponse:
    bare = access.forge.git.of(access.repo)
    sha = tree if SHA.match(tree) else bare.resolve(tree)
    if sha is None:
        raise not_found()
    return JSONResponse(_tree(access, sha, recursive=recursive is not None))


def _tree(access: Access, treeish: str, *, recursive: bool = False) -> JsonDict:
    bare, api = access.forge.git.of(access.repo), objects.api_url(access.forge, access.repo)
    entries = bare.tree(treeish, recursive=recursive)
    sha = bare.tree_of(treeish)
    if entries is None or sha is None:
        raise not_found()
    return {
        "sha": sha,
        "url": f"{api}/git/trees/{sha}",
        "tree": [_tree_entry(api, entry) for entry in entries],
        "truncated": False,
    }


def _tree_entry(api: str, entry: TreeEntry) -> JsonDict:
    shown: JsonDict = {"path": entry.path, "mode": entry.mode, "type": entry.type, "sha": entry.sha}
    if entry.size is not None:
        shown["size"] = entry.size
    if entry.type != "commit":
        shown["url"] = f"{api}/git/{entry.type}s/{entry.sha}"
    return shown


@router.post("/repos/{owner}/{repo}/git/trees")
def create_tree(access: Writable, body: NewTree) -> JSONResponse:
    bare = access.forge.git.of(access.repo)
    if body.base_tree is not None and bare.tree(body.base_tree) is None:
        raise unprocessable("base_tree does not exist")
    changes = [_change(bare, entry) for entry in body.tree]
    try:
        sha = bare.write_tree(body.base_tree, changes)
    except GitError as error:
        raise unprocessable("tree.sha does not exist or a path is malformed") from error
    return JSONResponse(_tree(access, sha), 201)


def _change(bare: Bare, entry: NewEntry) -> Change:
    parts = entry.path.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise unprocessable("tree.path contains a malformed path component")
    if entry.content is not None:
        return Change(entry.path, bare.write_blob(entry.content.encode()), entry.mode)
    if entry.sha is None:
        return Change(entry.path, None)
    if entry.type == "tree":
        raise unprocessable("entries of type tree are not supported by this forge; name the files")
    if entry.mode != "160000" and (not SHA.match(entry.sha) or bare.kind(entry.sha) != "blob"):
        raise unprocessable(f"tree.sha {entry.sha} is not a valid blob")
    return Change(entry.path, entry.sha, entry.mode)


@router.get("/repos/{owner}/{repo}/git/commits/{sha}")
def read_commit(access: Readable, sha: str) -> JSONResponse:
    bare = access.forge.git.of(access.repo)
    if not SHA.match(sha) or bare.kind(sha) != "commit":
        raise not_found()
    return JSONResponse(objects.git_commit(access.forge, access.repo, history.commit(bare, sha)))


@router.post("/repos/{owner}/{repo}/git/commits")
def create_commit(access: Writable, body: NewCommit) -> JSONResponse:
    forge, bare = access.forge, access.forge.git.of(access.repo)
    if not SHA.match(body.tree) or bare.kind(body.tree) != "tree":
        raise unprocessable("Tree SHA does not exist")
    for parent in body.parents:
        if not SHA.match(parent) or bare.kind(parent) != "commit":
            raise unprocessable("Parent SHA does not exist or is not a commit object")
    author, committer = committing.people(forge, access.actor, body.author, body.committer)
    own = body.author is None and body.committer is None
    try:
        sha = bare.commit_tree(body.tree, body.parents, body.message, author, committer)
        if own and access.actor.kind == "installation":  # GitHub signs for Apps, not for people
            sha = signatures.sign(forge, bare, sha)
    except GitError as error:
        raise GitHubError(422, f"Commit could not be created: {error}") from error
    return JSONResponse(objects.git_commit(forge, access.repo, history.commit(bare, sha)), 201)
