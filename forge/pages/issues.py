"""The pages of issues, and the forms that issues and pull requests share: comments, labels, boxes, reactions."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse

from forge import comments, issues
from forge.auth import ROLES
from forge.errors import GitHubError
from forge.issues import IssueChange
from forge.labels import labels_of
from forge.pages import conversation, markdown, render
from forge.pages.conversation import digest
from forge.pages.render import moment, page, repository
from forge.pages.session import Form, Reader, Session, SignedIn, text
from forge.state import Forge
from forge.store import Row

router = APIRouter()
SHOWN = 100
State = Annotated[Literal["open", "closed"], Query()]


@router.get("/{owner}/{repo}/issues")
def list_issues(request: Request, reader: Reader, owner: str, repo: str, state: State = "open") -> Response:
    """List issues."""
    return _list(request, reader, (owner, repo), "issues", state)


@router.get("/{owner}/{repo}/pulls")
def list_pulls(request: Request, reader: Reader, owner: str, repo: str, state: State = "open") -> Response:
    """List pull requests."""
    return _list(request, reader, (owner, repo), "pulls", state)


@router.get("/{owner}/{repo}/issues/new")
def new(
    request: Request, reader: SignedIn, owner: str, repo: str, title: str = "", body: str = ""
) -> Response:
    """Offer a form for an issue."""
    _, _, frame = repository(request, reader, owner, repo, "issues")
    return page(
        request, reader, "issue_new.html", title="New issue", form_title=title, form_body=body, **frame
    )


@router.post("/{owner}/{repo}/issues/new")
def open_issue(request: Request, reader: SignedIn, owner: str, repo: str, fields: Form) -> Response:
    """Open an issue."""
    forge, row, frame = repository(request, reader, owner, repo, "issues")
    issue = issues.open_issue(forge, row, reader.actor, text(fields, "title"), text(fields, "body") or None)
    return RedirectResponse(f"{frame['base']}/issues/{issue['number']}", 303)


@router.get("/{owner}/{repo}/issues/{number:int}")
def show(request: Request, reader: Reader, owner: str, repo: str, number: int) -> Response:
    """Show an issue; a pull request has a page of its own."""
    forge, row, frame = repository(request, reader, owner, repo, "issues")
    item = issues.find(forge, row, number)
    if item["is_pull"]:
        return RedirectResponse(f"{frame['base']}/pull/{number}", 302)
    shown = about(forge, row, item, reader, frame["base"]) | {"linked": _linked(forge, row, number)}
    return page(request, reader, "issue.html", title=f"{item['title']} #{number}", **frame, **shown)


@router.post("/{owner}/{repo}/issues/{number:int}/comments")
def comment(request: Request, reader: SignedIn, owner: str, repo: str, number: int, fields: Form) -> Response:
    """Comment, close or reopen."""
    forge, row, frame = repository(request, reader, owner, repo, "issues")
    item = issues.find(forge, row, number)
    body, then = text(fields, "body"), text(fields, "then")
    if body.strip() or then not in ("close", "reopen"):
        comments.add(forge, row, item, reader.actor, body)
    if then in ("close", "reopen"):
        state = "closed" if then == "close" else "open"
        issues.change(forge, row, item, reader.actor, IssueChange(state=state))
    return _back(frame, item)


@router.post("/{owner}/{repo}/issues/{number:int}/labels")
def label(request: Request, reader: SignedIn, owner: str, repo: str, number: int, fields: Form) -> Response:
    """Set a label or take it off."""
    forge, row, frame = repository(request, reader, owner, repo, "issues")
    item = issues.find(forge, row, number)
    if not issues.may_triage(reader.actor, row):
        raise GitHubError(403, "Only people with the role triage set labels.")
    name = text(fields, "name").strip()
    if text(fields, "act") == "remove":
        issues.remove_label(forge, row, item, reader.actor, name)
    else:
        issues.add_labels(forge, row, item, reader.actor, [name])
    return _back(frame, item)


@router.post("/{owner}/{repo}/issues/{number:int}/boxes")
def tick_opening(
    request: Request, reader: SignedIn, owner: str, repo: str, number: int, fields: Form
) -> Response:
    """Tick or untick a box of the opening text."""
    forge, row, frame = repository(request, reader, owner, repo, "issues")
    item = issues.find(forge, row, number)
    body = _ticked(item["body"] or "", fields)
    issues.change(forge, row, item, reader.actor, IssueChange(body=body))
    return _back(frame, item)


@router.post("/{owner}/{repo}/issues/{number:int}/reactions")
def react_to_opening(
    request: Request, reader: SignedIn, owner: str, repo: str, number: int, fields: Form
) -> Response:
    """React to the opening text."""
    forge, row, frame = repository(request, reader, owner, repo, "issues")
    item = issues.find(forge, row, number)
    comments.react(forge, "issue", item["id"], reader.actor, text(fields, "content"))
    return _back(frame, item)


@router.post("/{owner}/{repo}/comments/{comment_id:int}/boxes")
def tick_comment(
    request: Request, reader: SignedIn, owner: str, repo: str, comment_id: int, fields: Form
) -> Response:
    """Tick or untick a box of a comment."""
    forge, row, frame = repository(request, reader, owner, repo, "issues")
    found = comments.find(forge, row, comment_id)
    comments.edit(forge, row, found, reader.actor, _ticked(found["body"], fields))
    return _back(frame, issues.by_id(forge, found["issue_id"]), f"#issuecomment-{comment_id}")


@router.post("/{owner}/{repo}/comments/{comment_id:int}/reactions")
def react_to_comment(
    request: Request, reader: SignedIn, owner: str, repo: str, comment_id: int, fields: Form
) -> Response:
    """React to a comment."""
    forge, row, frame = repository(request, reader, owner, repo, "issues")
    found = comments.find(forge, row, comment_id)
    comments.react(forge, "comment", comment_id, reader.actor, text(fields, "content"))
    return _back(frame, issues.by_id(forge, found["issue_id"]), f"#issuecomment-{comment_id}")


def about(forge: Forge, repo: Row, item: Row, session: Session, base: str) -> dict[str, Any]:
    """Return what the pages of issues and pull requests both show."""
    labels = labels_of(forge, item["id"])
    on = {row["name"] for row in labels}
    known = forge.db.all("SELECT name FROM labels WHERE repo_id = ? ORDER BY name", repo["id"])
    entries = conversation.entries(forge, repo, item, session, base)
    person = session.user
    may_triage = person is not None and issues.may_triage(session.actor, repo)
    return {
        "item": shown_item(forge, item),
        "entries": entries,
        "comment_count": len(entries) - 1,
        "labels": [render.label(row) for row in labels],
        "other_labels": [row["name"] for row in known if row["name"] not in on],
        "people": list(dict.fromkeys(entry["login"] for entry in entries)),
        "may_triage": may_triage,
        "may_close": may_triage or (person is not None and person["id"] == item["user_id"]),
        "may_merge": person is not None and ROLES[session.actor.role(repo)] >= ROLES["write"],
        "linked": [],
    }


def shown_item(forge: Forge, item: Row) -> dict[str, Any]:
    """Return an issue or pull request as lists and titles show it."""
    found = {
        "merged_at": None,
        "draft": 0,
        **dict(item),
        "login": forge.user_by_id(item["user_id"])["login"],
        "when": moment(item["created_at"]),
    }
    if item["is_pull"]:
        found |= dict(forge.db.get("SELECT * FROM pulls WHERE issue_id = ?", item["id"]))
    return found


def _list(request: Request, reader: Reader, of: tuple[str, str], kind: str, state: str) -> Response:
    forge, row, frame = repository(request, reader, *of, kind)
    is_pull = int(kind == "pulls")
    rows = forge.db.all(
        "SELECT * FROM issues WHERE repo_id = ? AND is_pull = ? AND state = ? ORDER BY id DESC LIMIT ?",
        row["id"],
        is_pull,
        state,
        SHOWN,
    )
    counted = "SELECT count(*) FROM issues WHERE repo_id = ? AND is_pull = ? AND state = ?"
    items = [
        shown_item(forge, item)
        | {
            "labels": [render.label(each) for each in labels_of(forge, item["id"])],
            "comments": forge.db.count("SELECT count(*) FROM comments WHERE issue_id = ?", item["id"]),
        }
        for item in rows
    ]
    counts = {name: forge.db.count(counted, row["id"], is_pull, name) for name in ("open", "closed")}
    return page(
        request,
        reader,
        "issues.html",
        title="Pull requests" if is_pull else "Issues",
        kind=kind,
        state=state,
        items=items,
        open_count=counts["open"],
        closed_count=counts["closed"],
        **frame,
    )


def _linked(forge: Forge, repo: Row, number: int) -> list[dict[str, Any]]:
    """Return the pull requests whose text names an issue."""
    rows = forge.db.all(
        "SELECT * FROM issues WHERE repo_id = ? AND is_pull = 1 AND (body || ' ') GLOB ? ORDER BY id",
        repo["id"],
        f"*#{number}[^0-9]*",
    )
    return [shown_item(forge, row) for row in rows]


def _ticked(body: str, fields: FormData) -> str:
    """Return `body` with the box flipped that the form names; 409 if the text changed meanwhile."""
    line = text(fields, "line")
    if text(fields, "was") != digest(body) or not line.isdecimal():
        raise GitHubError(409, "Somebody changed this text meanwhile. Go back, reload and tick again.")
    return markdown.toggle(body, int(line))


def _back(frame: dict[str, Any], item: Row, anchor: str = "") -> Response:
    kind = "pull" if item["is_pull"] else "issues"
    return RedirectResponse(f"{frame['base']}/{kind}/{item['number']}{anchor}", 303)
