"""Owns the file in which set-up keeps who the bot is: written whole or not at all, for this user's eyes only."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any, Literal, Self

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, model_validator

from bot.errors import UserError

NAME = "credentials.json"  # below DATA_DIR
_OTHERS = 0o077


class Credentials(BaseModel):
    """An App, or a person's token, on one forge; the fields are settings of the same names."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    version: Literal[1] = 1
    github_api_url: str
    app_id: str | None = None
    private_key: SecretStr | None = None
    webhook_secret: SecretStr | None = None
    poll_deliveries: bool = False
    token: SecretStr | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        problems = []
        if bool(self.app_id) == bool(self.token):
            problems.append("needs `app_id` (an App) or `token` (token mode), one of them")
        if self.app_id:
            pem = self.private_key.get_secret_value() if self.private_key else ""
            problems += [f"`private_key` {problem}" for problem in key_problems(pem)]
            if not self.webhook_secret and not self.poll_deliveries:
                problems.append("`webhook_secret` is missing")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def settings(self) -> dict[str, Any]:
        """Give what it says as settings of the process."""
        found = {name: value for name, value in self if value and name not in {"version", "webhook_secret"}}
        # In a tuple: a comma in it is part of it.
        return found | ({"webhook_secret": (self.webhook_secret,)} if self.webhook_secret else {})


def key_problems(pem: str) -> list[str]:
    """Say what is wrong with an App's private key, without showing it; nothing where it can be used."""
    if "PRIVATE KEY-----" not in pem:
        return ["is no PEM private key (-----BEGIN ... PRIVATE KEY-----)"]
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        return ["is not a usable private key: damaged, cut off, or locked with a pass phrase"]
    return [] if isinstance(key, RSAPrivateKey) else ["is not an RSA key, as those of GitHub Apps are"]


def load(folder: Path) -> Credentials | None:
    """Read what set-up stored in this folder, None where it stored nothing; a UserError names the file and every problem."""
    path = folder / NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The stored credentials `{path}` cannot be read: {error}") from error
    try:
        return Credentials.model_validate(json.loads(text))
    except ValidationError as error:
        lines = [
            f"- {'.'.join(map(str, item['loc']))} {item['msg'].removeprefix('Value error, ')}".replace(
                "-  ", "- "
            )
            for item in error.errors()
        ]
    except ValueError as error:
        lines = [f"- no JSON: {error}"]
    raise UserError(
        f"The stored credentials `{path}` are not usable:\n" + "\n".join(lines) + "\n"
        "Mend the file, or move it away and start again: set-up then writes a new one."
    )


def exposed(folder: Path) -> bool:
    """Tell whether others of this machine may read or change the stored credentials."""
    try:
        return bool((folder / NAME).stat().st_mode & _OTHERS)
    except OSError:
        return False


def store(folder: Path, credentials: Credentials) -> Path:
    """Write the credentials with mode 0600, durably; UserError where there are some already, or the disk refuses."""
    path = folder / NAME
    if path.exists():
        raise UserError(
            f"`{path}` holds credentials already; they are kept. Move the file away to set up anew."
        )
    shown = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in credentials
        if value is not None
    }
    aside = folder / f".{NAME}.{secrets.token_hex(8)}"
    try:
        try:
            _write(aside, json.dumps(shown, indent=2) + "\n")
            os.replace(aside, path)  # noqa: PTH105 - atomic on purpose
        finally:
            aside.unlink(missing_ok=True)
        _sync(folder)
    except OSError as error:
        raise UserError(f"The credentials cannot be written to `{path}`: {error}") from error
    return path


def _write(path: Path, text: str) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        os.fchmod(number, 0o600)
        file.write(text)
        file.flush()
        os.fsync(number)


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
