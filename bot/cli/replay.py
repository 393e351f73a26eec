"""`gitwright replay`: lists the webhooks that the bot keeps, shows one, or has one handled again."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import click

from bot.cli.send_webhook import secret_of, told, url_of
from bot.engine.kept import STATES, Kept, Wanted
from bot.engine.store import Store
from bot.errors import UserError
from bot.settings import Settings, load_settings
from bot.web.sending import send
from bot.wiring import SystemClock

_T = TypeVar("_T")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _span(_context: click.Context, _option: click.Parameter, value: str | None) -> timedelta | None:
    found = re.fullmatch(r"([0-9]{1,5})([mhd])", value) if value is not None else None
    if value is not None and found is None:
        raise click.BadParameter("write minutes, hours or days, such as 30m, 2h or 3d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


@click.command("replay")
@click.argument("ids", nargs=-1, metavar="[DELIVERY]...")
@click.option("--event", help="List only this event, such as issue_comment.")
@click.option(
    "--state", type=click.Choice(STATES), help="List only these; `rejected` could not be understood."
)
@click.option("--since", callback=_span, metavar="SPAN", help="List only what came in the last 30m, 2h, 3d.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="List so many.")
@click.option("--show", is_flag=True, help="Print the payloads instead of handling them again.")
@click.option("--url", help="Send them to another bot instead, signed with this one's secret.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line each.")
def command(
    ids: tuple[str, ...],
    event: str | None,
    state: str | None,
    since: timedelta | None,
    limit: int,
    show: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """List the webhooks that the bot keeps, or have some handled again.

    Without ids the newest are listed. With ids each is handled as if it had just come, by the bot that works on the
    same database, now or at its next start. Nothing that followed from it before happens twice. Exit code 1 where one
    of them could not be taken; the others are.
    """
    settings = load_settings()
    if not ids:
        if show or url:
            raise click.UsageError("Name the deliveries, such as `gitwright replay --show ID`.")
        after = SystemClock().now() - since if since else None
        wanted = Wanted(event=event, state=state, since=after, limit=limit)
        _list(_with_store(settings, lambda store: store.kept_deliveries(wanted)), as_json)
        return

    async def each(store: Store) -> int:
        codes = []
        for id_ in dict.fromkeys(ids):
            try:
                codes.append(await _one(store, settings, id_, show, url, as_json))
            except UserError as error:  # the others are taken all the same
                click.echo(json.dumps({"id": id_, "error": str(error)}) if as_json else f"{id_}: {error}")
                codes.append(1)
        return max(codes)

    sys.exit(_with_store(settings, each))


def _with_store(settings: Settings, work: Callable[[Store], Awaitable[_T]]) -> _T:
    async def opened() -> _T:
        if settings.database.startswith("sqlite"):
            path = settings.database.removeprefix("sqlite:///").partition("?")[0]
            if not await asyncio.to_thread(Path(path).is_file):
                raise UserError(f"There is no database at {path}. Set GITWRIGHT_DATA_DIR as the bot has it.")
        store = await Store.open(settings.database, SystemClock())
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(opened())


async def _one(store: Store, settings: Settings, id_: str, show: bool, url: str | None, as_json: bool) -> int:
    found = await store.kept_delivery(id_)
    if found is None:
        raise UserError("There is no such delivery. `gitwright replay` lists those that are kept.")
    delivery, state = found
    if not delivery.body:
        raise UserError("Its payload was forgotten after its time (GITWRIGHT_KEEP_DAYS).")
    if show:
        click.echo(delivery.body.decode("utf-8", "replace"))
        return 0
    if url:
        sent = await send(url_of(settings, url), secret_of(settings), delivery.event, id_, delivery.body)
        return told(sent, as_json)
    taken = await store.handle_again(id_)
    said = "is handled again" if taken else f"is under way (`{state}`); nothing was done"
    click.echo(json.dumps({"id": id_, "again": taken}) if as_json else f"{id_}: {said}")
    return 0 if taken else 1


def _list(found: list[Kept], as_json: bool) -> None:
    for each in found:
        if as_json:
            row = {
                "id": each.id,
                "event": each.event,
                "action": each.action,
                "state": each.state,
                "received_at": each.received_at.isoformat(),
                "bytes": each.size,
                "error": each.error,
            }
            click.echo(json.dumps(row))
            continue
        name = f"{each.event}.{each.action}" if each.action else each.event
        error = f"  {each.error}" if each.error else ""
        click.echo(f"{each.received_at:%Y-%m-%d %H:%M:%S}  {each.state:8}  {name:32}  {each.id}{error}")
    if not found and not as_json:
        click.echo("No delivery is kept that fits.")
