"""Routes about the forge itself: limits, addresses, root."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, PlainTextResponse

from forge.auth import Caller

router = APIRouter()


@router.get("/rate_limit")
def read_limits(request: Request, actor: Caller) -> JSONResponse:
    limits = request.app.state.limits
    window = limits.window(actor)
    core = {
        "limit": limits.limit,
        "remaining": max(0, limits.limit - window.used),
        "reset": int(window.reset),
        "used": window.used,
    }
    search = {**core, "limit": 30, "remaining": 30, "used": 0}
    return JSONResponse({"resources": {"core": core, "search": search}, "rate": core})


@router.get("/meta")
def read_meta() -> JSONResponse:
    return JSONResponse(
        {"verifiable_password_authentication": False, "hooks": [], "web": [], "api": [], "git": []}
    )


@router.get("/zen")
def read_zen() -> PlainTextResponse:
    return PlainTextResponse("Practicality beats purity.")
