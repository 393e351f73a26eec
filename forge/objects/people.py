"""Users, Apps and installations as GitHub shows them."""

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from forge.errors import JsonDict
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge


def node_id(kind: str, number: int | str) -> str:
    """The GraphQL id of an object, as GitHub's older ids were made."""
    return base64.b64encode(f"{len(kind):03}:{kind}{number}".encode()).decode()


def user(forge: "Forge", row: Row) -> JsonDict:
    """`simple-user`; `[bot]` in a login is percent-encoded in its URLs."""
    api = f"{forge.url}/users/{quote(row['login'])}"
    bot = row["type"] == "Bot"
    page = (
        f"{forge.url}/apps/{row['login'].removesuffix('[bot]')}"
        if bot
        else f"{forge.url}/{quote(row['login'])}"
    )
    return {
        "login": row["login"],
        "id": row["id"],
        "node_id": node_id(row["type"], row["id"]),
        "avatar_url": f"{forge.url}/avatars/u/{row['id']}",
        "gravatar_id": "",
        "url": api,
        "html_url": page,
        "followers_url": f"{api}/followers",
        "following_url": f"{api}/following{{/other_user}}",
        "gists_url": f"{api}/gists{{/gist_id}}",
        "starred_url": f"{api}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{api}/subscriptions",
        "organizations_url": f"{api}/orgs",
        "repos_url": f"{api}/repos",
        "events_url": f"{api}/events{{/privacy}}",
        "received_events_url": f"{api}/received_events",
        "type": row["type"],
        "user_view_type": "public",
        "site_admin": bool(row["site_admin"]),
    }


def public_user(forge: "Forge", row: Row) -> JsonDict:
    """`public-user`, as `GET /users/{login}` answers."""
    public = forge.db.count("SELECT count(*) FROM repos WHERE owner_id = ? AND private = 0", row["id"])
    return {
        **user(forge, row),
        "name": row["name"],
        "company": None,
        "blog": "",
        "location": None,
        "email": row["email"],
        "hireable": None,
        "bio": None,
        "twitter_username": None,
        "public_repos": public,
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "created_at": row["created_at"],
        "updated_at": row["created_at"],
    }


def private_user(forge: "Forge", row: Row) -> JsonDict:
    """`private-user`, as `GET /user` answers."""
    owned = forge.db.count("SELECT count(*) FROM repos WHERE owner_id = ? AND private = 1", row["id"])
    return {
        **public_user(forge, row),
        "private_gists": 0,
        "total_private_repos": owned,
        "owned_private_repos": owned,
        "disk_usage": 0,
        "collaborators": 0,
        "two_factor_authentication": True,
        "plan": {"name": "free", "space": 976562499, "private_repos": 10000, "collaborators": 0},
    }


def app(forge: "Forge", row: Row) -> JsonDict:
    """`integration`."""
    return {
        "id": row["id"],
        "slug": row["slug"],
        "node_id": node_id("App", row["id"]),
        "client_id": row["client_id"],
        "owner": user(forge, forge.user_by_id(row["owner_id"])),
        "name": row["name"],
        "description": row["description"],
        "external_url": row["external_url"],
        "html_url": f"{forge.url}/apps/{row['slug']}",
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "permissions": json.loads(row["permissions"]),
        "events": json.loads(row["events"]),
    }


def installation(forge: "Forge", row: Row) -> JsonDict:
    """`installation`."""
    owner, its_app = forge.user_by_id(row["account_id"]), forge.app_by_id(row["app_id"])
    return {
        "id": row["id"],
        "account": user(forge, owner),
        "repository_selection": row["repository_selection"],
        "access_tokens_url": f"{forge.url}/app/installations/{row['id']}/access_tokens",
        "repositories_url": f"{forge.url}/installation/repositories",
        "html_url": f"{forge.url}/settings/installations/{row['id']}",
        "app_id": row["app_id"],
        "client_id": its_app["client_id"],
        "app_slug": its_app["slug"],
        "target_id": row["account_id"],
        "target_type": "User",
        "permissions": json.loads(row["permissions"]),
        "events": json.loads(row["events"]),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": None if row["suspended_at"] is None else user(forge, owner),
        "suspended_at": row["suspended_at"],
    }
