"""Routes of an App's webhook deliveries: what was sent, what came back, and sending it again."""

from typing import Any, Literal

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from forge import deliveries
from forge.auth import CallingApp, forge_of

router = APIRouter()


@router.get("/app/hook/deliveries")
def list_deliveries(
    request: Request,
    app: CallingApp,
    per_page: int = deliveries.PER_PAGE,
    cursor: str | None = None,
    status: Literal["success", "failure"] | None = None,
) -> JSONResponse:
    """List the calling App's deliveries, newest first."""
    forge = forge_of(request)
    rows, following = deliveries.page(forge, ("app_id", app.app_id or 0), cursor, per_page, status)
    url = f"{forge.url}{request.scope.get('forge.prefix', '')}/app/hook/deliveries"
    headers = deliveries.link(url, following, per_page, status)
    return JSONResponse([deliveries.item(row) for row in rows], headers=headers)


@router.get("/app/hook/deliveries/{delivery_id:int}")
def get_delivery(request: Request, app: CallingApp, delivery_id: int) -> dict[str, Any]:
    """Show one delivery with request and response."""
    row = deliveries.find(forge_of(request), ("app_id", app.app_id or 0), delivery_id)
    return deliveries.detail(row)


@router.post("/app/hook/deliveries/{delivery_id:int}/attempts", status_code=202)
def redeliver(request: Request, app: CallingApp, delivery_id: int) -> dict[str, Any]:
    """Send the same event again under the same GUID."""
    forge = forge_of(request)
    row = deliveries.find(forge, ("app_id", app.app_id or 0), delivery_id)
    forge.events.redeliver(row)
    return {}
