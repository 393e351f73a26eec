"""Apps beneath the routes: made from a manifest, installed on repositories, suspended and removed."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import BaseModel, ConfigDict, Field

from forge import objects
from forge.auth import LEVELS
from forge.errors import GitHubError, JsonDict, invalid
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge


CODE_AGE = timedelta(hours=1)


class HookAttributes(BaseModel):
    """Where an App wants its webhooks."""

    url: str
    active: bool = True


class Manifest(BaseModel):
    """GitHub's App manifest; keys that the forge has no use for are ignored."""

    model_config = ConfigDict(extra="ignore")

    name: Annotated[str, Field(min_length=1, max_length=34)] = "app"
    url: str = ""
    description: str | None = None
    hook_attributes: HookAttributes | None = None
    redirect_url: str | None = None
    setup_url: str | None = None
    public: bool = False
    default_events: list[str] = Field(default_factory=list)
    default_permissions: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewApp:
    """An App and the secrets that only its conversion shows."""

    row: Row
    pem: str


def slug_of(name: str) -> str:
    """The name as it appears in addresses."""
    kept = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
    return "-".join(part for part in kept.split("-") if part) or "app"


def remember_manifest(forge: "Forge", manifest: JsonDict, user_id: int) -> str:
    """Keeps a manifest that a person confirmed and returns the code for its conversion; 422 if the name is taken."""
    if forge.db.one("SELECT id FROM apps WHERE slug = ?", slug_of(Manifest.model_validate(manifest).name)):
        raise GitHubError(422, "An App of this name exists already. Go back and choose another name.")
    code = secrets.token_hex(20)
    forge.db.run(
        "INSERT INTO app_manifests (code, manifest, user_id, created_at) VALUES (?, ?, ?, ?)",
        code,
        json.dumps(manifest),
        user_id,
        forge.now(),
    )
    return code


def convert(forge: "Forge", code: str) -> NewApp:
    """Makes the App of a remembered manifest, once and within the hour that GitHub gives; 404 for another code."""
    with forge.db.tx():
        kept = forge.db.one(
            "SELECT * FROM app_manifests WHERE code = ? AND created_at > ?", code, forge.clock.text(-CODE_AGE)
        )
        if kept is None:
            raise GitHubError(404, "Not Found")
        forge.db.run("DELETE FROM app_manifests WHERE code = ?", code)
        return create(forge, Manifest.model_validate_json(kept["manifest"]), kept["user_id"])


def create(forge: "Forge", manifest: Manifest, owner_id: int) -> NewApp:
    """A new App with its key pair and its bot user; 422 if the name is taken."""
    slug = slug_of(manifest.name)
    if forge.db.one("SELECT id FROM apps WHERE slug = ?", slug) is not None:
        raise invalid("App", "name", "already_exists")
    pem, public = _key_pair()
    hook, now = manifest.hook_attributes, forge.now()
    with forge.db.tx():
        bot = forge.db.run(
            "INSERT INTO users (login, type, name, created_at) VALUES (?, 'Bot', NULL, ?)",
            f"{slug}[bot]",
            now,
        )
        app_id = forge.db.run(
            "INSERT INTO apps (slug, name, owner_id, description, external_url, client_id, client_secret,"
            " webhook_secret, webhook_url, webhook_active, public_key, permissions, events, setup_url, bot_user_id,"
            " created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            slug,
            manifest.name,
            owner_id,
            manifest.description,
            manifest.url or forge.url,
            f"Iv23li{secrets.token_hex(7)}",
            secrets.token_hex(20),
            secrets.token_hex(20) if hook else None,
            hook.url if hook else None,
            int(hook.active) if hook else 0,
            public,
            json.dumps({"metadata": "read", **manifest.default_permissions}),
            json.dumps(manifest.default_events),
            manifest.setup_url,
            bot,
            now,
            now,
        )
    return NewApp(forge.app_by_id(app_id), pem)


def _key_pair() -> tuple[str, str]:
    """A private key as GitHub hands it out, and the public one."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode(), public.decode()


def install(forge: "Forge", app: Row, account: Row, repositories: Sequence[Row] | None, sender: Row) -> Row:
    """Installs an App on an account's repositories (None: on all) or adds to where it is installed already."""
    with forge.db.tx():
        known = forge.db.one(
            "SELECT * FROM installations WHERE app_id = ? AND account_id = ?", app["id"], account["id"]
        )
        if known is not None:
            if repositories is not None:
                add_repositories(forge, known, repositories, sender)
            return forge.db.get("SELECT * FROM installations WHERE id = ?", known["id"])
        now = forge.now()
        installation_id = forge.db.run(
            "INSERT INTO installations (app_id, account_id, repository_selection, permissions, events, created_at,"
            " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            app["id"],
            account["id"],
            "all" if repositories is None else "selected",
            app["permissions"],
            app["events"],
            now,
            now,
        )
        for repo in repositories or ():
            _add(forge, installation_id, repo)
        row = forge.db.get("SELECT * FROM installations WHERE id = ?", installation_id)
        announce(forge, row, "created", sender)
    return row


def _add(forge: "Forge", installation_id: int, repo: Row) -> None:
    forge.db.run(
        "INSERT OR IGNORE INTO installation_repos (installation_id, repo_id) VALUES (?, ?)",
        installation_id,
        repo["id"],
    )


def add_repositories(forge: "Forge", row: Row, repositories: Sequence[Row], sender: Row) -> None:
    """Adds what the installation does not reach yet, and announces it."""
    known = {repo["id"] for repo in repositories_of(forge, row)}
    new = [repo for repo in repositories if repo["id"] not in known]
    if not new:
        return
    with forge.db.tx():
        for repo in new:
            _add(forge, row["id"], repo)
        _announce_repositories(forge, row, "added", new, sender)


def remove_repository(forge: "Forge", row: Row, repo: Row, sender: Row) -> None:
    """Takes one repository out of an installation, and announces it."""
    with forge.db.tx():
        _announce_repositories(forge, row, "removed", [repo], sender)
        forge.db.run(
            "DELETE FROM installation_repos WHERE installation_id = ? AND repo_id = ?", row["id"], repo["id"]
        )


def suspend(forge: "Forge", row: Row, at: str | None, sender: Row) -> None:
    """Suspends an installation, or lifts that."""
    with forge.db.tx():
        forge.db.run(
            "UPDATE installations SET suspended_at = ?, updated_at = ? WHERE id = ?",
            at,
            forge.now(),
            row["id"],
        )
        changed = forge.db.get("SELECT * FROM installations WHERE id = ?", row["id"])
        announce(forge, changed, "unsuspend" if at is None else "suspend", sender)


def uninstall(forge: "Forge", row: Row, sender: Row) -> None:
    """Removes an installation; its tokens hold no longer."""
    with forge.db.tx():
        announce(forge, row, "deleted", sender)
        forge.db.run(
            "UPDATE tokens SET revoked_at = ? WHERE installation_id = ? AND revoked_at IS NULL",
            forge.now(),
            row["id"],
        )
        forge.db.run("DELETE FROM installation_repos WHERE installation_id = ?", row["id"])
        forge.db.run("DELETE FROM installations WHERE id = ?", row["id"])


def announce(forge: "Forge", row: Row, action: str, sender: Row) -> None:
    """Emits one `installation` event; call it in the write's transaction."""
    repositories = [_short(repo) for repo in repositories_of(forge, row)]
    forge.events.emit(
        "installation",
        action,
        None,
        sender,
        installation=objects.installation(forge, row),
        repositories=repositories,
        requester=None,
    )


def _announce_repositories(
    forge: "Forge", row: Row, action: str, changed: Sequence[Row], sender: Row
) -> None:
    shown = [_short(repo) for repo in changed]
    forge.events.emit(
        "installation_repositories",
        action,
        None,
        sender,
        installation=objects.installation(forge, row),
        repository_selection=row["repository_selection"],
        repositories_added=shown if action == "added" else [],
        repositories_removed=shown if action == "removed" else [],
        requester=None,
    )


def _short(repo: Row) -> JsonDict:
    return {
        "id": repo["id"],
        "node_id": objects.node_id("Repository", repo["id"]),
        "name": repo["name"],
        "full_name": f"{repo['owner_login']}/{repo['name']}",
        "private": bool(repo["private"]),
    }


def repositories_of(forge: "Forge", row: Row) -> list[Row]:
    """The repositories that an installation reaches."""
    if row["repository_selection"] == "all":
        found = forge.db.all("SELECT id FROM repos WHERE owner_id = ? ORDER BY id", row["account_id"])
    else:
        found = forge.db.all(
            "SELECT repo_id AS id FROM installation_repos WHERE installation_id = ? ORDER BY repo_id",
            row["id"],
        )
    return [forge.repo_by_id(each["id"]) for each in found]


def granted(row: Row, wanted: Mapping[str, str] | None) -> dict[str, str]:
    """The permissions of a new token: those of the installation, or fewer; 422 for more."""
    held: dict[str, str] = json.loads(row["permissions"])
    if wanted is None:
        return held
    for name, level in wanted.items():
        if level not in LEVELS or LEVELS[level] > LEVELS[held.get(name, "none")]:
            raise GitHubError(422, "The permissions requested are not granted to this installation.")
    return {"metadata": "read", **wanted}
