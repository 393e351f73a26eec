"""The HTML pages on which a person works with the forge."""

from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from forge.auth import forge_of
from forge.pages import apps, code, home, issues, pulls
from forge.pages.render import page
from forge.pages.session import SIGN_IN_FIRST, Session
from forge.tokens import anonymous

router = APIRouter()
for _part in (home, apps, issues, pulls, code):
    router.include_router(_part.router)


def error_page(request: Request, status: int, message: str) -> Response:
    """Return a refusal as a page; a reader who only has to sign in is led there, and back afterwards."""
    if message == SIGN_IN_FIRST:
        query = f"?{request.url.query}" if request.url.query else ""
        here = request.scope["path"] + query if request.method == "GET" else "/"
        return RedirectResponse(f"/login?next={quote(here, safe='')}", 303)
    nobody = Session("", None, anonymous(forge_of(request)))
    return page(request, nobody, "error.html", title=str(status), status=status, message=message)
