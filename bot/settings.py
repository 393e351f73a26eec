"""Owns the settings of the process: read once, from the environment, `.env` or what set-up stored; every problem at once."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from bot import credentials, proxies
from bot.core.providers import KEYS
from bot.errors import UserError

PREFIX = "GITWRIGHT_"
ModelRole = Literal["planning", "backlog", "documentation", "simple", "complex"]
MODEL_ROLES: tuple[ModelRole, ...] = ("planning", "backlog", "documentation", "simple", "complex")
Models = dict[ModelRole, tuple[str, ...]]


class Settings(BaseSettings):
    """What the operator decides; a field `x_y` is read from `GITWRIGHT_X_Y`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    github_api_url: str = Field(
        "https://api.github.com", description="the forge's API; GHES: https://HOST/api/v3"
    )
    github_git_url: str | None = Field(
        None, description="template with {owner} and {repo}; derived from the API's address when absent"
    )
    github_api_version: str = Field(
        "2022-11-28",
        description="a date, sent as X-GitHub-Api-Version; `none`: the header is not sent",
    )
    app_id: str | None = Field(None, description="the GitHub App's id or client id")
    private_key: SecretStr | None = Field(
        None, description="the App's private key, PEM; \\n may stand for line ends"
    )
    private_key_path: Path | None = Field(
        None, description="or, better, the file that holds it: the broker alone reads that"
    )
    webhook_secret: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="the App's webhook secret; several, comma-separated, while rotating"
    )
    token: SecretStr | None = Field(None, description="a personal token instead of an App (token mode)")
    token_path: Path | None = Field(
        None, description="or, better, the file that holds it: the broker alone reads that"
    )
    database_url: SecretStr | None = Field(None, description="default: a SQLite file under DATA_DIR")
    data_dir: Path = Field(Path("data"), description="mirrors, worktrees, sessions, database")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    script: Path | None = Field(None, description="script file that drives models and agent named `scripted`")
    agent: str | None = Field(None, description="coding agent, overrides the repository's file")
    models: Annotated[Models | None, NoDecode] = Field(
        None, description="one `provider:model` for every role, or JSON {role: [models]}; overrides the file"
    )
    planning_agent: Literal["opencode", "claude", "codex", "gemini"] | None = Field(
        None,
        description="agent over ACP that plans, in a box; without one, models plan with built-in read tools",
    )
    model_base_url: str | None = Field(
        None,
        description="address of the models that agents use (the built-in one in OpenAI's format), instead of each"
        " provider's own; planning without an agent does not use it",
    )
    test: str | None = Field(None, description="test command, overrides the repository's file")
    sandbox: Literal["strong", "medium", "none"] = Field(
        "medium", description="least level of isolation; `none` runs agents without any"
    )
    container: str | None = Field(
        None,
        description="`docker`, `podman` or a path to either: boxes are its containers, instead of bubblewrap's",
    )
    container_image: str = Field(
        "gitwright-box",
        description="what these containers are made of; needs python3 and git, and is never fetched",
    )
    container_runtime: str | None = Field(
        None, description="their OCI runtime, instead of the usual one: `runsc` is gVisor's"
    )
    demo: bool = Field(
        False,
        description="set by `gitwright demo` alone: it may run without a sandbox on its own forge, for anybody",
    )
    poll_deliveries: bool = Field(
        False, description="fetch deliveries from the App instead of waiting for webhooks"
    )
    workers: int = Field(3, ge=1, le=100, description="coding agents at once in this process")
    planners: int = Field(3, ge=1, le=100, description="planning agents at once in this process")
    api_calls: int = Field(10, ge=1, le=100, description="calls of the forge's API at once in this process")
    onboarding_pulls: int = Field(
        10,
        ge=0,
        le=1000,
        description="repositories that are offered a settings file when several are added at once; 0: none",
    )
    egress: Literal["listed", "registries", "none"] = Field(
        "listed",
        description="where agents may go: hosts that a repository's file lists, those of them that are package registries, or "
        "nowhere",
    )
    registries: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="package registries of your own that set-ups may read beside the public ones: hosts or addresses, comma-separated",
    )
    layers_gib: float = Field(
        20,
        ge=0.1,
        le=100_000,
        description="GiB of disk for the installed dependencies of repositories, the least used removed first; one takes at most a quarter",
    )
    keep_days: int = Field(
        90, ge=7, le=36500, description="days for which the database keeps what happened in tracks that ended"
    )
    graphql: bool = Field(
        True, description="read several things in one call where the forge can; off: everything over REST"
    )
    edit_gap: float | None = Field(
        None,
        ge=0,
        le=600,
        description="seconds between edits of a status comment that asks nobody for anything, and for which good news of "
        "checks waits for more; default: WRITE_GAP times ten",
    )
    write_gap: float = Field(1.0, ge=0, le=60, description="seconds between writes of an installation")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read what set-up stored last: the operator's word comes first."""
        return init_settings, env_settings, dotenv_settings, _Stored(settings_cls)

    @property
    def mode(self) -> Literal["app", "token", "setup"]:
        """Tell how the bot identifies itself; `setup` means that an App has yet to be made."""
        return "app" if self.app_id else "token" if self.token or self.token_path else "setup"

    @property
    def database(self) -> str:
        """Give the database's URL, with its password if it has one."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'gitwright.sqlite'}"

    @property
    def hidden(self) -> tuple[Path, ...]:
        """Name the folder and the files of the bot's own that no box may show."""
        kind, _, database = self.database.partition(":///")
        stored = [Path(database.partition("?")[0])] if kind.startswith("sqlite") and database else []
        dotenv = [path for path in (Path(".env"),) if path.is_file()]
        named = [path for path in (self.private_key_path, self.token_path) if path is not None]
        return tuple(path.absolute() for path in (self.data_dir, *named, *dotenv, *stored))

    @property
    def unboxed(self) -> bool:
        """Tell whether the rules for work without a sandbox hold; the demo's own forge, on this machine, has no strangers."""
        at_home = self.demo and proxies.is_loopback(urlsplit(self.github_api_url).hostname or "")
        return self.sandbox == "none" and not at_home

    def deaf(self) -> tuple[str, ...]:
        """Say why a server with these settings would never hear of anything, or of less than asked for; local work needs none of it."""
        if self.mode != "token":
            return ()
        found = []
        if not self.webhook_secret:
            found.append(
                f"{PREFIX}TOKEN needs {PREFIX}WEBHOOK_SECRET beside it: without it no webhook is accepted. Set it to the "
                "secret of the webhook in each repository."
            )
        if self.poll_deliveries:
            found.append(
                f"{PREFIX}POLL_DELIVERIES needs an App: nobody can fetch the deliveries of a repository's webhook with a token. "
                "Take it away, and let the webhooks reach the bot."
            )
        return tuple(found)

    def secrets(self) -> tuple[str, ...]:
        """List what must never be shown."""
        found = [*self.webhook_secret, self.private_key, self.token]
        texts = [secret.get_secret_value() for secret in found if secret is not None]
        password = re.search(r"://[^:/@]*:([^@]+)@", self.database)
        keys = [os.environ.get(name, "") for names in KEYS.values() for name in names]
        return (*texts, *((password[1],) if password else ()), *proxies.secrets(), *filter(None, keys))

    @field_validator("github_api_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value):
            raise ValueError("must be an address such as https://api.github.com or https://HOST/api/v3")
        return value.rstrip("/")

    @field_validator("github_api_version")
    @classmethod
    def _is_version(cls, value: str) -> str:
        if value in ("", "none"):  # an empty variable counts as absent, like all others
            return ""
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            raise ValueError("must be a date such as 2022-11-28, or `none`")
        return value

    @field_validator("model_base_url")
    @classmethod
    def _is_web_address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^\s?#]+", value):
            raise ValueError("must be an address such as https://HOST/v1")
        return value

    @field_validator("github_git_url")
    @classmethod
    def _is_template(cls, value: str | None) -> str | None:
        if value is not None and not ("{owner}" in value and "{repo}" in value):
            raise ValueError("must contain {owner} and {repo}, such as https://HOST/{owner}/{repo}.git")
        return value

    @field_validator("webhook_secret", "registries", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("private_key", mode="before")
    @classmethod
    def _line_ends(cls, value: Any) -> Any:
        return value.replace("\\n", "\n") if isinstance(value, str) else value

    @field_validator("models", mode="before")
    @classmethod
    def _models(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if not value.lstrip().startswith("{"):
            return {role: (value.strip(),) for role in MODEL_ROLES}
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"is no valid JSON: {error}") from error

    @field_validator("script")
    @classmethod
    def _exists(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file `{value}`")
        return value

    @model_validator(mode="before")
    @classmethod
    def _find_secret_files(cls, data: Any) -> Any:
        """Look whether the files can be read, and read none: what is in them is the broker's alone."""
        for name in ("private_key", "token") if isinstance(data, dict) else ():
            path = data.get(f"{name}_path")
            if not path:
                continue
            if data.get(name):
                raise ValueError(f"set {name.upper()} or {name.upper()}_PATH, not both")
            try:
                with Path(path).open("rb"):
                    pass
            except OSError as error:
                raise ValueError(f"the file of {name.upper()}_PATH cannot be read: {error}") from error
        return data

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        problems = []
        if self.app_id and (self.token or self.token_path):
            problems.append("set APP_ID (an App) or TOKEN (token mode), not both")
        keyed = self.private_key is not None or self.private_key_path is not None
        if self.app_id and not keyed:
            problems.append("an App needs PRIVATE_KEY or PRIVATE_KEY_PATH beside APP_ID")
        if self.app_id and not self.webhook_secret and not self.poll_deliveries:
            problems.append("an App needs WEBHOOK_SECRET beside APP_ID")
        if keyed and not self.app_id:
            problems.append("PRIVATE_KEY is set without APP_ID")
        if self.private_key is not None and "PRIVATE KEY-----" not in self.private_key.get_secret_value():
            problems.append("PRIVATE_KEY is no PEM private key (-----BEGIN ... PRIVATE KEY-----)")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class _Stored(PydanticBaseSettingsSource):
    """What set-up stored in DATA_DIR; it counts as a whole, and not at all where an App or a token is named otherwise."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Give nothing: all of it is read at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        given = self.current_state
        if given.get("app_id") or given.get("token") or given.get("token_path"):
            return {}
        folder = Path(given.get("data_dir") or Settings.model_fields["data_dir"].default)
        stored = credentials.load(folder)
        if stored is None:
            return {}
        found = stored.settings(folder)
        address = str(given.get("github_api_url") or stored.github_api_url).rstrip("/")
        if address != stored.github_api_url:  # else the forge there would be handed what opens this one
            raise UserError(
                f"{PREFIX}GITHUB_API_URL is {address}, but the stored credentials `{folder / credentials.NAME}` are for "
                f"{stored.github_api_url}. Take the setting away, or move the file away and set up anew."
            )
        keys = {"private_key", "private_key_path"}
        keyed = any(given.get(name) for name in keys)
        return {name: value for name, value in found.items() if not (keyed and name in keys)}


def load_settings(env_file: Path | None = Path(".env"), **overrides: Any) -> Settings:
    """Read the settings: overrides, then the environment, then the file; a UserError names all that is wrong."""
    try:
        return Settings(**{"_env_file": env_file, **overrides})
    except ValidationError as error:
        lines = [
            f"- {_named(item['loc'])}{item['msg'].removeprefix('Value error, ')}" for item in error.errors()
        ]
        raise UserError(
            "The settings are not usable; mend these and start again:\n" + "\n".join(lines)
        ) from error


def _named(loc: tuple[int | str, ...]) -> str:
    if not loc:
        return ""
    inner = "".join(f"[{part}]" for part in loc[1:])
    return f"`{PREFIX}{str(loc[0]).upper()}{inner}`: "
