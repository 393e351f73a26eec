"""Routes of GitHub Actions, as far as the tiny CI is one: the log of a job, where its address says who may read it."""

import hashlib
import hmac
import json
import secrets
from typing import Annotated

from fastapi import APIRouter, Request, Response
from starlette.responses import PlainTextResponse, RedirectResponse

from forge.auth import Access, forge_of, needs
from forge.errors import not_found

router = APIRouter()

ActionsRead = Annotated[Access, needs("actions", "read")]
_KEY = secrets.token_bytes(
    32
)  # an address of before a restart is of no use, as one of GitHub's is after a minute


@router.get("/repos/{owner}/{repo}/actions/jobs/{job_id:int}/logs")
def show_log(access: ActionsRead, job_id: int) -> Response:
    """Lead to the log of a job; its number is that of its check run."""
    run = access.forge.db.one(
        "SELECT id FROM check_runs WHERE id = ? AND repo_id = ? AND app_id = ? AND status = 'completed'",
        job_id,
        access.repo["id"],
        access.forge.ci.app()["id"],
    )
    if run is None:
        raise not_found()
    return RedirectResponse(f"{access.forge.url}/_test/job-logs/{job_id}?sig={_signature(job_id)}", 302)


@router.get("/_test/job-logs/{job_id:int}")
def read_log(request: Request, job_id: int, sig: str = "") -> Response:
    """Give a log as GitHub's storage does: a time in front of each line, the error marked, cleaning up after it."""
    if not hmac.compare_digest(sig, _signature(job_id)):
        raise not_found()
    run = forge_of(request).db.get("SELECT * FROM check_runs WHERE id = ?", job_id)
    lines = [*str(json.loads(run["output"]).get("text") or "").splitlines()]
    if run["conclusion"] != "success":
        lines.append(f"##[error]{json.loads(run['output']).get('title')}")
    lines.append("Cleaning up orphan processes")
    return PlainTextResponse("".join(f"{run['completed_at'][:-1]}.0000000Z {line}\n" for line in lines))


def _signature(job_id: int) -> str:
    return hmac.new(_KEY, str(job_id).encode(), hashlib.sha256).hexdigest()
