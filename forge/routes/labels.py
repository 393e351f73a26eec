"""Routes of a repository's labels and of the labels on its issues."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, Field

from forge import issues, labels, objects
from forge.auth import Access, needs
from forge.errors import invalid, not_found
from forge.paging import Paged
from forge.routes.issues import Labels, names
from forge.store import Row

router = APIRouter()

LabelsRead = Annotated[Access, needs("issues", "read", "pull_requests")]
LabelsWrite = Annotated[Access, needs("issues", "write", "pull_requests")]
BASE = "/repos/{owner}/{repo}/labels"
OF_ISSUE = "/repos/{owner}/{repo}/issues/{number:int}/labels"


class NewLabel(BaseModel):
    """A label to create."""

    name: str
    color: str = Field(default=labels.DEFAULT_COLOR, pattern="^#?[0-9a-fA-F]{6}$")
    description: str | None = Field(default=None, max_length=100)


class LabelChange(BaseModel):
    """What changes of a label."""

    new_name: str | None = None
    color: str | None = Field(default=None, pattern="^#?[0-9a-fA-F]{6}$")
    description: str | None = Field(default=None, max_length=100)


class LabelList(BaseModel):
    """Labels of an issue."""

    labels: Labels = Field(default_factory=list)


@router.get(BASE)
def list_labels(access: LabelsRead, page: Paged) -> Response:
    """List a repository's labels."""
    sql = "SELECT * FROM labels WHERE repo_id = ? ORDER BY id"
    return page.query(access.forge.db, sql, access.repo["id"], show=lambda row: _shown(access, row))


@router.post(BASE, status_code=201)
def create_label(access: LabelsWrite, body: NewLabel) -> dict[str, Any]:
    """Create a label."""
    access.require_role("triage")
    row = labels.create_label(access.forge, access.repo, body.name, body.color, body.description)
    return _shown(access, row)


@router.get(BASE + "/{name:path}")
def get_label(access: LabelsRead, name: str) -> dict[str, Any]:
    """Show a label."""
    return _shown(access, _find(access, name))


@router.patch(BASE + "/{name:path}")
def change_label(access: LabelsWrite, name: str, body: LabelChange) -> dict[str, Any]:
    """Rename, recolor or describe a label."""
    access.require_role("triage")
    row = _find(access, name)
    renamed = body.new_name or row["name"]
    labels.check_name(renamed)
    other = labels.label_named(access.forge, access.repo, renamed)
    if other is not None and other["id"] != row["id"]:
        raise invalid("Label", "name", "already_exists")
    access.forge.db.run(
        "UPDATE labels SET name = ?, color = ?, description = ? WHERE id = ?",
        renamed,
        row["color"] if body.color is None else body.color.removeprefix("#").lower(),
        body.description if "description" in body.model_fields_set else row["description"],
        row["id"],
    )
    return _shown(access, _find(access, renamed))


@router.delete(BASE + "/{name:path}", status_code=204)
def delete_label(access: LabelsWrite, name: str) -> Response:
    """Delete a label, also from every issue."""
    access.require_role("triage")
    row = _find(access, name)
    with access.forge.db.tx():
        access.forge.db.run("DELETE FROM issue_labels WHERE label_id = ?", row["id"])
        access.forge.db.run("DELETE FROM labels WHERE id = ?", row["id"])
    return Response(status_code=204)


@router.get(OF_ISSUE)
def list_of_issue(access: LabelsRead, page: Paged, number: int) -> Response:
    """List the labels of an issue."""
    issue = issues.find_for(access, number, "read")
    return page.answer(labels.labels_of(access.forge, issue["id"]), lambda row: _shown(access, row))


@router.post(OF_ISSUE)
def add(
    access: LabelsWrite, number: int, body: Annotated[LabelList | Labels, Body()]
) -> list[dict[str, Any]]:
    """Put labels on an issue; unknown ones are created."""
    access.require_role("triage")
    issue = issues.find_for(access, number, "write")
    issues.add_labels(
        access.forge,
        access.repo,
        issue,
        access.actor,
        names(body.labels if isinstance(body, LabelList) else body),
    )
    return _all_of(access, issue)


@router.put(OF_ISSUE)
def replace(
    access: LabelsWrite, number: int, body: Annotated[LabelList | Labels, Body()]
) -> list[dict[str, Any]]:
    """Make the labels of an issue exactly these."""
    access.require_role("triage")
    issue = issues.find_for(access, number, "write")
    issues.set_labels(
        access.forge,
        access.repo,
        issue,
        access.actor,
        names(body.labels if isinstance(body, LabelList) else body),
    )
    return _all_of(access, issue)


@router.delete(OF_ISSUE, status_code=204)
def clear(access: LabelsWrite, number: int) -> Response:
    """Take every label off an issue."""
    access.require_role("triage")
    issue = issues.find_for(access, number, "write")
    issues.set_labels(access.forge, access.repo, issue, access.actor, [])
    return Response(status_code=204)


@router.delete(OF_ISSUE + "/{name:path}")
def remove(access: LabelsWrite, number: int, name: str) -> list[dict[str, Any]]:
    """Take one label off an issue; answers with those that stay."""
    access.require_role("triage")
    issue = issues.find_for(access, number, "write")
    issues.remove_label(access.forge, access.repo, issue, access.actor, name)
    return _all_of(access, issue)


def _all_of(access: Access, issue: Row) -> list[dict[str, Any]]:
    return [_shown(access, row) for row in labels.labels_of(access.forge, issue["id"])]


def _find(access: Access, name: str) -> Row:
    row = labels.label_named(access.forge, access.repo, name)
    if row is None:
        raise not_found()
    return row


def _shown(access: Access, row: Row) -> dict[str, Any]:
    return objects.label(access.forge, access.repo, row)
