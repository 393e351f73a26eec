"""Routes of check runs and check suites."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from forge import checking, objects
from forge.auth import Access, needs
from forge.checking import RunChange
from forge.errors import GitHubError, not_found
from forge.paging import Page, Paged
from forge.routes.statuses import commit_of
from forge.store import Row, Value

router = APIRouter()

ChecksRead = Annotated[Access, needs("checks", "read")]
ChecksWrite = Annotated[Access, needs("checks", "write")]
RUNS = "/repos/{owner}/{repo}/check-runs"
SUITES = "/repos/{owner}/{repo}/check-suites"
LONGEST = 65_535

Status = Literal["queued", "in_progress", "completed"]
Conclusion = Literal[
    "success", "failure", "neutral", "cancelled", "timed_out", "action_required", "skipped", "stale"
]


class Annotation(BaseModel):
    """A remark on lines of a file."""

    path: str
    start_line: int = Field(ge=1)
    end_line: int = Field(ge=1)
    annotation_level: Literal["notice", "warning", "failure"]
    message: str = Field(min_length=1, max_length=LONGEST)
    title: str | None = Field(default=None, max_length=255)
    raw_details: str | None = Field(default=None, max_length=LONGEST)
    start_column: int | None = None
    end_column: int | None = None


class Output(BaseModel):
    """What a run shows."""

    title: str | None = None
    summary: str | None = Field(default=None, max_length=LONGEST)
    text: str | None = Field(default=None, max_length=LONGEST)
    annotations: list[Annotation] = Field(default_factory=list, max_length=50)


class Action(BaseModel):
    """A button of a run."""

    label: str = Field(max_length=20)
    description: str = Field(max_length=40)
    identifier: str = Field(max_length=20)


class RunFields(BaseModel):
    """What a call may set on a run."""

    name: str | None = None
    details_url: str | None = None
    external_id: str | None = None
    status: Status | None = None
    conclusion: Conclusion | None = None
    started_at: str | None = None
    completed_at: str | None = None
    output: Output | None = None
    actions: list[Action] | None = Field(default=None, max_length=3)

    def as_change(self) -> RunChange:
        """Return these fields for the store; 422 for a completed run without conclusion."""
        if self.status == "completed" and self.conclusion is None:
            raise GitHubError(422, "Invalid request.\n\nconclusion is required when status is completed.")
        output = None if self.output is None else self.output.model_dump(exclude={"annotations"})
        remarks = [] if self.output is None else [each.model_dump() for each in self.output.annotations]
        actions = None if self.actions is None else [each.model_dump() for each in self.actions]
        plain = self.model_dump(exclude={"output", "actions"})
        own = {key: plain[key] for key in RunFields.model_fields if key in plain}
        return RunChange(**own, output=output, actions=actions, annotations=remarks)


class NewRun(RunFields):
    """A run to create."""

    name: str = Field(min_length=1)
    head_sha: str


class NewSuite(BaseModel):
    """A suite to create."""

    head_sha: str


@router.post(RUNS, status_code=201)
def create_run(access: ChecksWrite, body: NewRun) -> dict[str, Any]:
    """Create a check run of the calling App."""
    forge, repo = access.forge, access.repo
    of = _own_suite(access, body.head_sha)
    with forge.db.tx():
        row = checking.create_run(forge, repo, of, body.as_change(), access.actor.user)
    return objects.check_run(forge, repo, row)


@router.get(RUNS + "/{run_id:int}")
def get_run(access: ChecksRead, run_id: int) -> dict[str, Any]:
    """Show a check run."""
    return objects.check_run(access.forge, access.repo, _run(access, run_id))


@router.patch(RUNS + "/{run_id:int}")
def update_run(access: ChecksWrite, run_id: int, body: RunFields) -> dict[str, Any]:
    """Change a check run; only the App that made it may."""
    row = _run(access, run_id)
    if row["app_id"] != access.actor.app_id:
        raise GitHubError(403, "Invalid app_id `check_run.app_id`. Only its own App may change a check run.")
    with access.forge.db.tx():
        after = checking.update_run(access.forge, access.repo, run_id, body.as_change(), access.actor.user)
    return objects.check_run(access.forge, access.repo, after)


@router.get(RUNS + "/{run_id:int}/annotations")
def list_annotations(access: ChecksRead, page: Paged, run_id: int) -> Response:
    """List a run's remarks."""
    row = _run(access, run_id)
    base = f"{objects.html_url(access.forge, access.repo)}/blob/{row['head_sha']}"
    return page.query(
        access.forge.db,
        "SELECT * FROM check_annotations WHERE run_id = ? ORDER BY id",
        run_id,
        show=lambda each: {**json.loads(each["body"]), "blob_href": f"{base}/{each['path']}"},
    )


@router.post(RUNS + "/{run_id:int}/rerequest", status_code=201)
def rerequest_run(access: ChecksWrite, run_id: int) -> dict[str, Any]:
    """Ask the App that made a run for another one."""
    row = _run(access, run_id)
    with access.forge.db.tx():
        if not access.forge.ci.rerun(access.repo, row["suite_id"]):
            checking.ask_again(access.forge, access.repo, row["suite_id"], access.actor.user, run_id)
    return {}


@router.get("/repos/{owner}/{repo}/commits/{ref:path}/check-runs")
def list_for_ref(
    access: ChecksRead,
    page: Paged,
    ref: str,
    check_name: str | None = None,
    status: Status | None = None,
    filter: Literal["latest", "all"] = "latest",
    app_id: int | None = None,
) -> Response:
    """List the check runs of a commit; by default the newest of each name and App."""
    return _runs(access, page, ("head_sha", commit_of(access, ref)), check_name, status, filter, app_id)


@router.get(SUITES + "/{suite_id:int}/check-runs")
def list_for_suite(
    access: ChecksRead,
    page: Paged,
    suite_id: int,
    check_name: str | None = None,
    status: Status | None = None,
    filter: Literal["latest", "all"] = "latest",
) -> Response:
    """List the check runs of a suite."""
    _suite(access, suite_id)
    return _runs(access, page, ("suite_id", suite_id), check_name, status, filter, None)


@router.post(SUITES, status_code=201)
def create_suite(access: ChecksWrite, body: NewSuite, response: Response) -> dict[str, Any]:
    """Return the calling App's suite of a commit; 200 if it exists."""
    known = access.forge.db.one(
        "SELECT 1 FROM check_suites WHERE repo_id = ? AND app_id = ? AND head_sha = ?",
        access.repo["id"],
        access.actor.app_id,
        body.head_sha,
    )
    response.status_code = 201 if known is None else 200
    return objects.check_suite(access.forge, access.repo, _own_suite(access, body.head_sha))


@router.get(SUITES + "/{suite_id:int}")
def get_suite(access: ChecksRead, suite_id: int) -> dict[str, Any]:
    """Show a check suite."""
    return objects.check_suite(access.forge, access.repo, _suite(access, suite_id))


@router.post(SUITES + "/{suite_id:int}/rerequest", status_code=201)
def rerequest_suite(access: ChecksWrite, suite_id: int) -> dict[str, Any]:
    """Ask an App to run its checks again."""
    _suite(access, suite_id)
    with access.forge.db.tx():
        if not access.forge.ci.rerun(access.repo, suite_id):
            checking.ask_again(access.forge, access.repo, suite_id, access.actor.user)
    return {}


@router.get("/repos/{owner}/{repo}/commits/{ref:path}/check-suites")
def list_suites(
    access: ChecksRead, page: Paged, ref: str, app_id: int | None = None, check_name: str | None = None
) -> Response:
    """List the check suites of a commit, empty ones too."""
    args: tuple[Value, ...] = (access.repo["id"], commit_of(access, ref), app_id, check_name)
    return page.query(
        access.forge.db,
        "SELECT * FROM check_suites WHERE repo_id = ?1 AND head_sha = ?2 AND (?3 IS NULL OR app_id = ?3) AND (?4 IS NULL"
        " OR EXISTS (SELECT 1 FROM check_runs WHERE suite_id = check_suites.id AND name = ?4)) ORDER BY id",
        *args,
        show=lambda row: objects.check_suite(access.forge, access.repo, row),
        wrap="check_suites",
    )


def _runs(
    access: Access,
    page: Page,
    of: tuple[str, Value],
    name: str | None,
    status: str | None,
    which: str,
    app_id: int | None,
) -> Response:
    newest = "AND id IN (SELECT MAX(id) FROM check_runs GROUP BY suite_id, name)" if which == "latest" else ""
    return page.query(
        access.forge.db,
        f"SELECT * FROM check_runs WHERE repo_id = ?1 AND {of[0]} = ?2 AND (?3 IS NULL OR name = ?3)"  # noqa: S608
        f" AND (?4 IS NULL OR status = ?4) AND (?5 IS NULL OR app_id = ?5) {newest} ORDER BY id",
        access.repo["id"],
        of[1],
        name,
        status,
        app_id,
        show=lambda row: objects.check_run(access.forge, access.repo, row),
        wrap="check_runs",
    )


def _own_suite(access: Access, sha: str) -> Row:
    """Return the calling App's suite of a commit that exists; 422 otherwise."""
    forge, repo = access.forge, access.repo
    if forge.git.of(repo).resolve(sha) != sha:
        raise GitHubError(422, f"No commit found for SHA: {sha}")
    if access.actor.app_id is None:
        raise GitHubError(403, "You must authenticate via a GitHub App.")
    branch = forge.db.one(
        "SELECT ref FROM heads WHERE repo_id = ? AND sha = ? AND ref LIKE 'refs/heads/%'", repo["id"], sha
    )
    name = None if branch is None else str(branch["ref"]).removeprefix("refs/heads/")
    return checking.suite_for(forge, repo, access.actor.app_id, sha, name)


def _run(access: Access, run_id: int) -> Row:
    row = access.forge.db.one(
        "SELECT * FROM check_runs WHERE id = ? AND repo_id = ?", run_id, access.repo["id"]
    )
    if row is None:
        raise not_found()
    return row


def _suite(access: Access, suite_id: int) -> Row:
    row = access.forge.db.one(
        "SELECT * FROM check_suites WHERE id = ? AND repo_id = ?", suite_id, access.repo["id"]
    )
    if row is None:
        raise not_found()
    return row
