"""Owns how set-up looks: templates become pages without scripts or anything from elsewhere, everything escaped."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

_FOLDER = Path(__file__).parent / "templates"
_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_STYLE = (_FOLDER / "style.css").read_text(encoding="utf-8")
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; img-src data:; frame-ancestors 'none'; base-uri 'none'"
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


def page(template: str, status: int = 200, *, leaves: bool = False, **words: object) -> HTMLResponse:
    """Give a page; only where it `leaves` may its form lead to another site.

    Not to a named one there: browsers hold redirects to the same rule, and a forge may have people sign in elsewhere.
    """
    html = _TEMPLATES.get_template(template).render({"style": _STYLE, "warning": "", "refresh": 0, **words})
    policy = _POLICY if leaves else f"{_POLICY}; form-action 'self'"
    return HTMLResponse(html, status, {**_HEADERS, "content-security-policy": policy})
