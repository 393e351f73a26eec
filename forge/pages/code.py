"""A repository's files, folders and branches as pages."""

from fastapi import APIRouter, Request, Response

from forge import history
from forge.errors import not_found
from forge.pages import markdown
from forge.pages.render import page, repository
from forge.pages.session import Reader

router = APIRouter()
LARGEST = 512 * 1024


@router.get("/{owner}/{repo}")
def overview(request: Request, reader: Reader, owner: str, repo: str) -> Response:
    """Show the default branch's files and README."""
    return _folder(request, reader, owner, repo, None, "")


@router.get("/{owner}/{repo}/tree/{rest:path}")
def folder(request: Request, reader: Reader, owner: str, repo: str, rest: str) -> Response:
    """Show a folder of a branch."""
    forge, row, _ = repository(request, reader, owner, repo, "code")
    branch, path = _split(list(forge.git.of(row).refs("refs/heads/")), rest)
    return _folder(request, reader, owner, repo, branch, path)


@router.get("/{owner}/{repo}/blob/{rest:path}")
def file(request: Request, reader: Reader, owner: str, repo: str, rest: str) -> Response:
    """Show a file of a branch."""
    forge, row, frame = repository(request, reader, owner, repo, "code")
    bare = forge.git.of(row)
    branch, path = _split(list(bare.refs("refs/heads/")), rest)
    sha = bare.resolve(branch)
    entry = None if sha is None else bare.entry(sha, path)
    if entry is None or entry.type != "blob":
        raise not_found()
    data = bare.blob(entry.sha) if (entry.size or 0) <= LARGEST else b"(too large to show)"
    lines = ["(binary file)"] if b"\0" in data else data.decode(errors="replace").splitlines()
    return page(request, reader, "blob.html", title=path, branch=branch, path=path, lines=lines, **frame)


def _folder(
    request: Request, reader: Reader, owner: str, name: str, branch: str | None, path: str
) -> Response:
    forge, repo, frame = repository(request, reader, owner, name, "code")
    bare = forge.git.of(repo)
    branch = branch or repo["default_branch"]
    sha = bare.resolve(branch)
    if sha is None and branch != repo["default_branch"]:
        raise not_found()
    found = [] if sha is None else bare.tree(sha, path)
    if found is None:
        raise not_found()
    prefix = f"{path}/" if path else ""
    files = [{"name": each.path, "path": prefix + each.path, "folder": each.type == "tree"} for each in found]
    readme = next((each for each in found if each.path.lower() in ("readme.md", "readme")), None)
    commit = None if sha is None else history.commit(bare, sha)
    return page(
        request,
        reader,
        "repo.html",
        title=f"{owner}/{name}",
        branch=branch,
        files=sorted(files, key=lambda each: (not each["folder"], str(each["name"]))),
        readme=None if readme is None else markdown.render(bare.blob(readme.sha).decode(errors="replace")),
        head=None
        if commit is None
        else {"sha": commit.sha, "author": commit.author.name, "subject": commit.message.partition("\n")[0]},
        branches=[ref.removeprefix("refs/heads/") for ref in bare.refs("refs/heads/")],
        clone_url=f"{forge.url}/{repo['owner_login']}/{repo['name']}.git",
        **frame,
    )


def _split(refs: list[str], rest: str) -> tuple[str, str]:
    """Return branch and path of an address; a branch's name may hold slashes, the longest that exists wins."""
    names = sorted((ref.removeprefix("refs/heads/") for ref in refs), key=len, reverse=True)
    for name in names:
        if rest == name or rest.startswith(name + "/"):
            return name, rest[len(name) + 1 :].strip("/")
    branch, _, path = rest.partition("/")
    return branch, path.strip("/")
