"""Owns one attack in both layouts, in the same run: what happened, as a row of the table."""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.ports import Sandbox
from tests.git.attacks.cases import Attack
from tests.git.attacks.field import Field, Naive, Ours

_RECORDER = "#!/bin/sh\nprintf '%s\\n' \"$*\" >>'{log}'\nexec '{git}' \"$@\"\n"


async def in_both(
    attack: Attack,
    naive: Naive,
    ours: Ours,
    seeded: Path,
    sandbox: Sandbox,
    record_property: Callable[[str, object], None],
) -> None:
    """Attack both; it must succeed where nothing stops it, and in ours never."""
    hit = _on_naive(attack, naive, seeded)
    ours.sink.seen.clear()
    ours_hit = await _on_ours(attack, ours, sandbox)
    end = ours.outcome.strip().splitlines()[-1].lstrip("- ")[:90]
    written = "" if ours.written else "the box does not let it be written; "
    columns = (attack.id, attack.title, "HIT" if hit else "ok", "HIT" if ours_hit else "ok", written + end)
    record_property("attack", f"| {' | '.join(columns)} |")
    assert naive.written, naive.said
    assert hit is not bool(attack.naive_stops), naive.log
    assert ours.written is attack.reaches, ours.said
    assert ours_hit is False
    assert attack.ends in ours.outcome


def _on_naive(attack: Attack, naive: Naive, seeded: Path) -> bool:
    naive.build(seeded / "seed")
    naive.attack(attack.script)
    with _recorded(naive, attack.recorded):
        attack.before(naive)
        naive.cycle()
        attack.after(naive)
        if attack.token:
            naive.push_with_token()
    return attack.hit(naive)


async def _on_ours(attack: Attack, ours: Ours, sandbox: Sandbox) -> bool:
    await ours.build(sandbox)
    await ours.attack(attack.script)
    with _recorded(ours, attack.recorded):
        await ours.cycle()
        await attack.more(ours)
        if attack.token:
            await ours.push_with_token()
    found = (attack.ours or attack.hit)(ours)  # type: ignore[arg-type]
    return bool(await found if inspect.isawaitable(found) else found)


@contextmanager
def _recorded(field: Field, wanted: bool) -> Iterator[None]:
    """Have every git of the host write its command line down first."""
    if not wanted:
        yield
        return
    before = os.environ["PATH"]
    program = field.folder / "bin/git"
    program.parent.mkdir()
    program.write_text(_RECORDER.format(log=field.folder / "argv", git=shutil.which("git")))
    program.chmod(0o755)
    os.environ["PATH"] = f"{program.parent}:{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before
