"""Owns how people, Apps' bots and Apps look in GraphQL."""

from forge import objects, tokens
from forge.graphql.context import Context, Fields
from forge.store import Row


def account(ctx: Context, row: Row) -> Fields:
    """A User or a Bot; the login of a bot goes without its `[bot]`, which REST shows."""
    bot = row["type"] == "Bot"
    shown = objects.user(ctx.forge, row)
    return {
        "__typename": "Bot" if bot else "User",
        "id": shown["node_id"],
        "databaseId": row["id"],
        "login": str(row["login"]).removesuffix("[bot]") if bot else row["login"],
        "name": row["name"],
        "url": shown["html_url"],
        "resourcePath": shown["html_url"].removeprefix(ctx.forge.url),
        "avatarUrl": shown["avatar_url"],
        "createdAt": row["created_at"],
        "isSiteAdmin": bool(row["site_admin"]),
    }


def by_id(ctx: Context, user_id: int | None) -> Fields | None:
    """Whoever did something; None where nobody did, or somebody whose account is gone."""
    if user_id is None or user_id == tokens.GHOST:
        return None
    return account(ctx, ctx.forge.user_by_id(user_id))


def viewer(ctx: Context) -> Fields:
    """The caller; always a User by type, and an installation's bot with its whole name."""
    row = ctx.actor.user
    return {**account(ctx, row), "__typename": "User", "login": row["login"]}


def app(ctx: Context, row: Row) -> Fields:
    """An App."""
    return {
        "__typename": "App",
        "id": objects.node_id("App", row["id"]),
        "databaseId": row["id"],
        "slug": row["slug"],
        "name": row["name"],
    }
