"""Owns the files in which set-up keeps who the bot is: written whole or not at all, for this user's eyes only.

What opens the forge lies in a file of its own, so that the bot's process can read the rest and not that.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, model_validator

from bot.errors import UserError
from bot.keys import key_problems

NAME = "credentials.json"  # below DATA_DIR
_SECRETS = {"private_key": "app.private-key.pem", "token": "personal-token"}  # beside it
_OTHERS = 0o077


class Credentials(BaseModel):
    """An App, or a person's token, on one forge; the fields are settings of the same names, paths relative to the file's."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    version: Literal[1] = 1
    github_api_url: str
    app_id: str | None = None
    private_key: SecretStr | None = None
    private_key_path: str | None = None
    webhook_secret: SecretStr | None = None
    poll_deliveries: bool = False
    token: SecretStr | None = None
    token_path: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        problems = []
        if bool(self.app_id) == bool(self.token or self.token_path):
            problems.append("needs `app_id` (an App) or `token` (token mode), one of them")
        if self.app_id:
            pem = self.private_key.get_secret_value() if self.private_key else ""
            if pem or not self.private_key_path:
                problems += [f"`private_key` {problem}" for problem in key_problems(pem)]
            if not self.webhook_secret and not self.poll_deliveries:
                problems.append("`webhook_secret` is missing")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def settings(self, folder: Path) -> dict[str, Any]:
        """Give what it says as settings of the process."""
        found = {name: value for name, value in self if value and name not in {"version", "webhook_secret"}}
        for name in _SECRETS:
            if path := found.get(f"{name}_path"):
                found[f"{name}_path"] = folder / path
        # In a tuple: a comma in it is part of it.
        return found | ({"webhook_secret": (self.webhook_secret,)} if self.webhook_secret else {})


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


def opened(folder: Path) -> Credentials | None:
    """Read what set-up stored with the secrets that lie beside it; for set-up alone, which has seen them."""
    found = load(folder)
    if found is None:
        return None
    told = found.model_dump(exclude_none=True)
    for name in _SECRETS:
        if path := told.pop(f"{name}_path", None):
            try:
                told[name] = (folder / path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(
                    f"`{folder / path}`, which `{NAME}` names, cannot be read: {error}"
                ) from error
    return Credentials.model_validate(told)


def exposed(folder: Path) -> tuple[Path, ...]:
    """List what of the stored credentials others of this machine may read or change."""

    def open_to_others(name: str) -> bool:
        try:
            return bool((folder / name).stat().st_mode & _OTHERS)
        except OSError:
            return False

    return tuple(folder / name for name in (NAME, *_SECRETS.values()) if open_to_others(name))


def store(folder: Path, credentials: Credentials) -> Path:
    """Write the credentials with mode 0600, durably; UserError where there are some already, or the disk refuses."""
    path = folder / NAME
    if path.exists():
        raise UserError(
            f"`{path}` holds credentials already; they are kept. Move the file away to set up anew."
        )
    shown: dict[str, object] = {}
    beside: dict[str, str] = {}
    for name, value in credentials:
        if isinstance(value, SecretStr) and name in _SECRETS:
            beside[_SECRETS[name]] = value.get_secret_value()
            shown[f"{name}_path"] = _SECRETS[name]
        elif value is not None:
            shown[name] = value.get_secret_value() if isinstance(value, SecretStr) else value
    written: list[Path] = []
    try:
        for name, text in {**beside, NAME: json.dumps(shown, indent=2) + "\n"}.items():
            _put(folder / name, text)
            written.append(folder / name)
        _sync(folder)
    except OSError as error:
        for each in written:
            each.unlink(missing_ok=True)
        raise UserError(f"The credentials cannot be written to `{path}`: {error}") from error
    return path


def _put(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(aside, text)
        os.replace(aside, path)  # noqa: PTH105 - atomic on purpose
    finally:
        aside.unlink(missing_ok=True)


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
