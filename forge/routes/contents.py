"""Routes of files and folders at a revision: read, write, delete."""

import base64
import binascii
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from forge import committing, history, media, objects, rulesets
from forge.auth import Access, needs
from forge.committing import Signature
from forge.errors import GitHubError, JsonDict, not_found, unprocessable
from forge.git import Change, TreeEntry

router = APIRouter()

Readable = Annotated[Access, needs("contents", "read")]
Writable = Annotated[Access, needs("contents", "write")]

KINDS = {"blob": "file", "tree": "dir", "commit": "submodule"}
LARGEST_SHOWN = 1 << 20


class FileWrite(BaseModel):
    """A file to create or, with the blob id that it replaces, to update."""

    message: str
    content: str
    sha: str | None = None
    branch: str | None = None
    author: Signature | None = None
    committer: Signature | None = None


class FileRemoval(BaseModel):
    """A file to delete, with the blob id that it has."""

    message: str
    sha: str
    branch: str | None = None
    author: Signature | None = None
    committer: Signature | None = None


@router.get("/repos/{owner}/{repo}/contents")
@router.get("/repos/{owner}/{repo}/contents/{path:path}")
def read(access: Readable, request: Request, path: str = "", ref: str | None = None) -> Response:
    forge, repo = access.forge, access.repo
    bare, path = forge.git.of(repo), path.strip("/")
    if not bare.refs("refs/heads/"):
        raise GitHubError(404, "This repository is empty.")
    commit = committing.revision(bare, ref, repo["default_branch"])
    at = ref or repo["default_branch"]
    if not path:
        return JSONResponse(_listed(access, commit, "", at))
    entry = bare.entry(commit, path)
    if entry is None:
        raise not_found()
    if entry.type == "tree":
        return JSONResponse(_listed(access, commit, path, at))
    if media.wanted(request) == "raw":
        return Response(bare.blob(entry.sha), media_type="application/vnd.github.raw; charset=utf-8")
    return JSONResponse(_file(access, entry, path, at))


@router.get("/repos/{owner}/{repo}/readme")
def read_readme(access: Readable, request: Request, ref: str | None = None) -> Response:
    bare = access.forge.git.of(access.repo)
    commit = committing.revision(bare, ref, access.repo["default_branch"])
    names = [entry.path for entry in bare.tree(commit) or [] if entry.path.lower().startswith("readme")]
    if not names:
        raise not_found()
    return read(access, request, names[0], ref)


def _listed(access: Access, commit: str, path: str, at: str) -> list[JsonDict]:
    entries = access.forge.git.of(access.repo).tree(commit, path) or []
    return [_entry(access, entry, f"{path}/{entry.path}" if path else entry.path, at) for entry in entries]


def _entry(access: Access, entry: TreeEntry, path: str, at: str) -> JsonDict:
    """What files and folders have in common."""
    api, page = objects.api_url(access.forge, access.repo), objects.html_url(access.forge, access.repo)
    where = quote(path)
    url = f"{api}/contents/{where}?ref={quote(at, safe='')}"
    folder = entry.type == "tree"
    git_url = f"{api}/git/{'trees' if folder else 'blobs'}/{entry.sha}"
    html = f"{page}/{'tree' if folder else 'blob'}/{quote(at)}/{where}"
    return {
        "type": "symlink" if entry.mode == "120000" else KINDS[entry.type],
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": entry.sha,
        "size": entry.size or 0,
        "url": url,
        "html_url": html,
        "git_url": git_url,
        "download_url": None if folder else f"{page}/raw/{quote(at)}/{where}",
        "_links": {"self": url, "git": git_url, "html": html},
    }


def _file(access: Access, entry: TreeEntry, path: str, at: str) -> JsonDict:
    shown = _entry(access, entry, path, at)
    if entry.type == "commit":
        return {**shown, "submodule_git_url": None}
    data = access.forge.git.of(access.repo).blob(entry.sha)
    if entry.mode == "120000":
        return {**shown, "target": data.decode(errors="replace")}
    if len(data) > LARGEST_SHOWN:
        return {**shown, "content": "", "encoding": "none"}
    return {**shown, "content": base64.encodebytes(data).decode(), "encoding": "base64"}


@router.put("/repos/{owner}/{repo}/contents/{path:path}")
def write(access: Writable, path: str, body: FileWrite) -> JSONResponse:
    forge, repo, path = access.forge, access.repo, _writable(access, path)
    try:
        data = base64.b64decode("".join(body.content.split()), validate=True)
    except binascii.Error as error:
        raise unprocessable("content is not valid Base64") from error
    branch = body.branch or repo["default_branch"]
    with forge.git.lock(repo):
        bare = forge.git.of(repo)
        tip, known = _known(access, branch, path)
        if known is not None and known.type == "tree":
            raise unprocessable(f"{path} is a directory")
        if known is None:
            _check_parents(access, tip, path)
        if known is not None and body.sha is None:
            raise GitHubError(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
        if (None if known is None else known.sha) != body.sha:
            raise GitHubError(409, f"{path} does not match {body.sha}")
        blob, mode = bare.write_blob(data), "100644" if known is None else known.mode
        by = committing.people(forge, access.actor, body.author, body.committer)
        change = Change(path, blob, mode)
        new = committing.commit_change(forge, repo, branch, access.actor, tip, [change], body.message, by)
    shown = _entry(access, TreeEntry(mode, "blob", blob, len(data), path), path, branch)
    commit = objects.git_commit(forge, repo, history.commit(bare, new))
    return JSONResponse({"content": shown, "commit": commit}, 201 if known is None else 200)


@router.delete("/repos/{owner}/{repo}/contents/{path:path}")
def delete(access: Writable, path: str, body: FileRemoval) -> JSONResponse:
    forge, repo, path = access.forge, access.repo, _writable(access, path)
    branch = body.branch or repo["default_branch"]
    with forge.git.lock(repo):
        tip, known = _known(access, branch, path)
        if known is None or known.type == "tree":
            raise not_found()
        if known.sha != body.sha:
            raise GitHubError(409, f"{path} does not match {body.sha}")
        by = committing.people(forge, access.actor, body.author, body.committer)
        change = Change(path, None)
        new = committing.commit_change(forge, repo, branch, access.actor, tip, [change], body.message, by)
    commit = objects.git_commit(forge, repo, history.commit(forge.git.of(repo), new))
    return JSONResponse({"content": None, "commit": commit})


def _writable(access: Access, path: str) -> str:
    """The path as checked; 403 to an App that may not change workflows."""
    if path.startswith(rulesets.WORKFLOWS) and not rulesets.may_write_workflows(access.actor):
        raise access.actor.refusal("workflows")
    return checked(path)


def checked(path: str) -> str:
    """A path that git takes into a tree; 422 otherwise."""
    parts = path.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or "\0" in path:
        raise unprocessable("path contains a malformed path component")
    return path


def _known(access: Access, branch: str, path: str) -> tuple[str | None, TreeEntry | None]:
    """A branch's tip, and what lies at a path there."""
    bare = access.forge.git.of(access.repo)
    tip = bare.ref(f"refs/heads/{branch}")
    return tip, None if tip is None else bare.entry(tip, path)


def _check_parents(access: Access, tip: str | None, path: str) -> None:
    """422 where a file would come to lie below a file; git would silently put it in that one's place."""
    parts = path.split("/")
    for count in range(1, len(parts)) if tip is not None else ():
        above = access.forge.git.of(access.repo).entry(str(tip), "/".join(parts[:count]))
        if above is None:
            return
        if above.type != "tree":
            raise unprocessable(f"{above.path} is a file")
