"""What is to stay hidden no box shows, wherever it lies: beside programs of the PATH, or below what every box shows."""

from __future__ import annotations

import sys
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import SandboxError
from bot.ports import SandboxPolicy
from bot.sandbox import BwrapSandbox, choose, probe
from bot.sandbox.bwrap import BwrapBox
from bot.sandbox.probe import failures
from bot.settings import Settings

_SECRETS = ("data/app.pem", "data/tasks/other/wt/secret", ".env", "service.env")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Have the bot installed into a virtual environment, and all else in the same folder, for everybody to read."""
    place = tmp_path / "x"
    for name in ("bin", "data/tasks/other/wt"):
        (place / name).mkdir(parents=True)
    for name in _SECRETS:
        (place / name).write_text("SECRET")
    (place / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    (place / "bin/tool").write_text("#!/bin/sh\necho works\n")
    (place / "bin/tool").chmod(0o755)
    for path in (place, *(below for below in place.rglob("*") if below.is_dir())):
        path.chmod(0o755)
    given = {"data_dir": place / "data", "token_path": place / "service.env"}
    return Settings(_env_file=None, **given)  # type: ignore[call-arg, arg-type]


def _with(policy: SandboxPolicy, settings: Settings) -> SandboxPolicy:
    return replace(policy, path=f"{settings.data_dir.parent}/bin:{policy.path}")


async def _read(box: BwrapBox, settings: Settings) -> list[str]:
    """Name what can be read."""
    place = settings.data_dir.parent
    found = [(name, await box.run(["cat", f"{place}/{name}"], timeout=60)) for name in _SECRETS]
    return [name for name, done in found if "SECRET" in done.output]


async def test_nothing_hidden_is_seen_beside_programs(
    sandbox: BwrapSandbox, policy: SandboxPolicy, settings: Settings
) -> None:
    shown = _with(policy, settings)
    found = await probe(hidden=settings.hidden, path=shown.path)
    assert found.level == sandbox.level
    assert isinstance(found.sandbox, BwrapSandbox)
    async with found.sandbox.open(shown) as box:
        assert (await box.run(["tool"], timeout=60)).output == "works\n"
        assert await _read(box, settings) == []
    # All of it can be read by whoever is shown the folder: nothing else keeps a box out.
    wide = replace(policy, readable={settings.data_dir.parent: str(settings.data_dir.parent)})
    async with sandbox.open(wide) as box:
        assert await _read(box, settings) == list(_SECRETS)
    with pytest.raises(SandboxError, match="lies below"):
        async with found.sandbox.open(wide):
            pass


class _Wide(BwrapSandbox):
    """A back end that shows the folder in which all of this lies."""

    place: Path

    def open(self, policy: SandboxPolicy) -> AbstractAsyncContextManager[BwrapBox]:
        return BwrapSandbox(self.level).open(replace(policy, readable={self.place: str(self.place)}))


async def test_a_data_folder_that_can_be_seen_is_no_wall(sandbox: BwrapSandbox, settings: Settings) -> None:
    shows = _Wide("medium")
    shows.place = settings.data_dir.parent
    assert await failures(shows) == []  # as where nobody says what is to be hidden
    assert await failures(shows, settings.hidden) == ["reads-data"]
    assert await failures(sandbox, settings.hidden) == []


@pytest.mark.parametrize("place", ["/usr/share/gitwright", "/etc/ssl/certs/app.pem"])
@pytest.mark.usefixtures("sandbox")
async def test_nothing_starts_where_what_is_hidden_lies_below_what_every_box_shows(place: str) -> None:
    with pytest.raises(SandboxError, match=f"`{place}`(.|\n)*Fix: Move it") as caught:
        await choose("medium", hidden=(Path(place),))
    assert "lies below" in str(caught.value)


def test_the_settings_name_what_holds_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".env", "token"):
        (tmp_path / name).touch()
    found = Settings(_env_file=None, token_path="token", database_url="sqlite:///db/bot.sqlite")  # type: ignore[call-arg, arg-type]
    assert {path.relative_to(tmp_path).as_posix() for path in found.hidden} == {
        *("data", "token", ".env", "db/bot.sqlite")
    }
