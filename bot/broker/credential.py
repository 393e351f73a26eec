"""Owns what opens the forge: an App's key or a person's token, or the file that holds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bot.errors import UserError
from bot.keys import key_problems


@dataclass(frozen=True, slots=True)
class Credential:
    """An App (`app_id`) or a person, and the secret or its file; of the two the file is better: its path may be known."""

    app_id: str | None = None
    secret: str | None = field(default=None, repr=False)
    file: str | None = None

    @property
    def mode(self) -> Literal["app", "token"]:
        """Tell how the bot identifies itself."""
        return "app" if self.app_id else "token"

    def opened(self) -> str:
        """Give the secret, read from its file if need be; a UserError says what is wrong with it, and shows none of it."""
        kind, name = ("private key", "PRIVATE_KEY") if self.app_id else ("token", "TOKEN")
        if self.file is None:
            secret, where = self.secret or "", f"GITWRIGHT_{name}"
        else:
            where = f"the file of GITWRIGHT_{name}_PATH (`{self.file}`)"
            try:
                secret = Path(self.file).read_text(encoding="ascii")
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"The {kind} cannot be read: {where}: {error}") from error
        problems = key_problems(secret) if self.app_id else [] if secret.strip() else ["is empty"]
        if problems:
            raise UserError(f"{where} {problems[0]}")
        return secret if self.app_id else secret.strip()
