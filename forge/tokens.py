"""The tokens that the forge gives out, and what a request's `Authorization` header says about its caller."""

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import jwt

from forge.auth import Actor
from forge.errors import GitHubError
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

HOUR = timedelta(hours=1)
GHOST = 10137  # GitHub's id of the user `ghost`
LONGEST_JWT = 600
SKEW = 60


def digest(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def mint_personal(forge: "Forge", user_id: int) -> str:
    """A personal token that never expires."""
    token = "ghp_" + secrets.token_hex(18)
    forge.db.run(
        "INSERT INTO tokens (token_hash, kind, user_id, created_at) VALUES (?, 'pat', ?, ?)",
        digest(token),
        user_id,
        forge.now(),
    )
    return token


def mint_installation(
    forge: "Forge",
    app: Row,
    installation: Row,
    permissions: Mapping[str, str],
    repository_ids: list[int] | None,
) -> tuple[str, str]:
    """An installation token and when it expires, one hour from now."""
    token, expires = "ghs_" + secrets.token_hex(18), forge.clock.text(HOUR)
    forge.db.run(
        "INSERT INTO tokens (token_hash, kind, user_id, app_id, installation_id, permissions, repository_ids,"
        " expires_at, created_at) VALUES (?, 'installation', ?, ?, ?, ?, ?, ?, ?)",
        digest(token),
        app["bot_user_id"],
        app["id"],
        installation["id"],
        json.dumps(dict(permissions)),
        None if repository_ids is None else json.dumps(repository_ids),
        expires,
        forge.now(),
    )
    return token, expires


def anonymous(forge: "Forge") -> Actor:
    """A caller without a token."""
    return Actor(forge.user_by_id(GHOST), "anonymous", forge.db)


def user_actor(forge: "Forge", user: Row, token_id: int | None = None) -> Actor:
    """A person, also for pages that know them by a session."""
    return Actor(user, "user", forge.db, token_id=token_id)


def authenticate(forge: "Forge", header: str | None) -> Actor:
    """The caller that an `Authorization` header names; 401 `Bad credentials` for one that does not hold."""
    if not header:
        return anonymous(forge)
    scheme, _, value = header.partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        value = _password(value)
    elif scheme.lower() not in ("bearer", "token"):
        raise GitHubError(401, "Bad credentials")
    if value.count(".") == 2:
        return _by_jwt(forge, value)
    return _by_token(forge, value)


def _password(value: str) -> str:
    """The token in basic auth: the password, or the name where the password is empty or `x-oauth-basic`."""
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise GitHubError(401, "Bad credentials") from error
    return name if password in ("", "x-oauth-basic") else password


def _by_token(forge: "Forge", token: str) -> Actor:
    row = forge.db.one("SELECT * FROM tokens WHERE token_hash = ?", digest(token))
    if row is None or row["revoked_at"] or (row["expires_at"] and row["expires_at"] <= forge.now()):
        raise GitHubError(401, "Bad credentials")
    user = forge.user_by_id(row["user_id"])
    if row["kind"] == "pat":
        return user_actor(forge, user, row["id"])
    installation = forge.db.one("SELECT * FROM installations WHERE id = ?", row["installation_id"])
    if installation is None:
        raise GitHubError(401, "Bad credentials")
    if installation["suspended_at"]:
        raise GitHubError(403, "This installation has been suspended")
    return Actor(
        user,
        "installation",
        forge.db,
        app=forge.app_by_id(row["app_id"]),
        installation=installation,
        token_id=row["id"],
        permissions=json.loads(row["permissions"]),
        repository_ids=_reach(forge, installation, row["repository_ids"]),
    )


def _reach(forge: "Forge", installation: Row, narrowed: str | None) -> frozenset[int] | None:
    """The repositories that a token reaches now: those of the installation, cut to those it was minted for."""
    wanted = None if narrowed is None else frozenset[int](json.loads(narrowed))
    if installation["repository_selection"] == "all":
        return wanted
    rows = forge.db.all(
        "SELECT repo_id FROM installation_repos WHERE installation_id = ?", installation["id"]
    )
    installed = frozenset(int(row["repo_id"]) for row in rows)
    return installed if wanted is None else installed & wanted


def _by_jwt(forge: "Forge", token: str) -> Actor:
    """The App that signed a JWT; its life may be ten minutes at most, as GitHub has it."""
    try:
        issuer = str(jwt.decode(token, options={"verify_signature": False}).get("iss", ""))
        app = forge.db.one("SELECT * FROM apps WHERE CAST(id AS TEXT) = ? OR client_id = ?", issuer, issuer)
        if app is None:
            raise GitHubError(401, "Integration not found")
        claims = jwt.decode(
            token,
            app["public_key"],
            algorithms=["RS256"],
            options={
                "require": ["iat", "exp"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_iss": False,
            },
        )
        issued, expires = int(claims["iat"]), int(claims["exp"])
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise GitHubError(401, "A JSON web token could not be decoded") from error
    now = int(forge.clock.now().timestamp())
    if issued > now + SKEW:
        raise GitHubError(401, "'Issued at' claim ('iat') must be an Integer that is not in the future")
    if expires <= now:
        raise GitHubError(401, "'Expiration time' claim ('exp') must be a numeric value in the future")
    if expires > min(now, issued) + LONGEST_JWT + SKEW:
        raise GitHubError(401, "'Expiration time' claim ('exp') is too far in the future")
    return Actor(
        forge.user_by_id(app["bot_user_id"]),
        "app",
        forge.db,
        app=app,
        permissions=json.loads(app["permissions"]),
    )
