"""The real server set up in a real browser against a served forge: from no credentials to a plan, without a restart."""

from __future__ import annotations

import base64
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from playwright.sync_api import Page, expect

from bot import credentials
from bot.credentials import Credentials
from tests.judges.openapi import Judge
from tests.judges.served import JudgedForge, judged_forge
from tests.judges.webhooks import WebhookJudge
from tests.stories import stage
from tests.stories.scripts import BYE, FILES, ONE_TASK
from tests.support.browser import browsing

_ROOT = Path(__file__).parents[2]
_REPO = f"/repos/{stage.OWNER}/{stage.REPO}"
_PATIENCE = 60.0  # seconds until something that must happen counts as not happening


def until(what: str, look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline, f"did not happen within {_PATIENCE:g} s: {what}"
        time.sleep(0.1)
    return found


@dataclass
class Server:
    """`gitwright serve` as a process, with what it printed."""

    folder: Path
    settings: dict[str, str]
    port: int
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def data(self) -> Path:
        return self.folder / "bot"

    @property
    def printed(self) -> str:
        return (self.folder / "out").read_text()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @contextmanager
    def running(self) -> Iterator[None]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GITWRIGHT_")}
        mine = {f"GITWRIGHT_{name}": value for name, value in self.settings.items()}
        with (self.folder / "out").open("wb") as out, (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bot", "serve"],
                env={**kept, **mine, "PYTHONPATH": str(_ROOT)},
                cwd=self.folder,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait(_PATIENCE)

    def link(self) -> str:
        """Wait for the one line that is printed; gives the address in it."""

        def look() -> re.Match[str] | None:
            assert self.process.poll() is None, self.log
            return re.fullmatch(
                r"Set up Gitwright: (http://127\.0\.0\.1:\d+/setup\?token=[\w-]{43})\n", self.printed
            )

        return str(until("the address of the set-up page", look)[1])

    def ask(self, path: str) -> httpx.Response | None:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=30, trust_env=False, verify=False)
        except httpx.TransportError:
            return None

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log
        answer = self.ask("/readyz")
        return answer is not None and answer.status_code == 200

    def end(self) -> int:
        """Ask it to end, as an operator does; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE)


@pytest.fixture
def forge(tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge) -> Iterator[JudgedForge]:
    with judged_forge(tmp_path / "forge", judge, webhook_judge) as served:
        yield served


@pytest.fixture
def server(tmp_path: Path, forge: JudgedForge) -> Iterator[Server]:
    script = tmp_path / "script.yml"
    script.write_text(yaml.safe_dump(ONE_TASK))
    (tmp_path / "bye.patch").write_text(BYE)
    with stage.kept_port() as port:
        yield Server(tmp_path, _settings(tmp_path, forge, port, script), port)


def _settings(folder: Path, forge: JudgedForge, port: int, script: Path) -> dict[str, str]:
    return {
        "GITHUB_API_URL": forge.url,
        "DATA_DIR": str(folder / "bot"),
        "PORT": str(port),
        "SCRIPT": str(script),
        "AGENT": "scripted",
        "MODELS": "scripted",
        "WRITE_GAP": "0",
        "SANDBOX": "none",
    }


def make_the_app(page: Page, link: str) -> None:
    """Go through the manifest flow as a person does, the forge's sign-in included."""
    expect.set_options(timeout=_PATIENCE * 1_000)  # five seconds, else
    page.goto(link)
    expect(page).to_have_url(re.compile(r"/setup$"))
    page.get_by_label("Name of the App").fill("Gitwright at home")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Create “Gitwright at home”")).to_be_visible()
    page.get_by_role("button", name="Create it at").click()
    page.get_by_role("button", name=stage.OWNER).click()
    expect(page.get_by_label("Name")).to_have_value("Gitwright at home")
    page.get_by_role("button", name="Create this App").click()
    expect(page.get_by_role("heading", name="Gitwright works as gitwright-at-home[bot]")).to_be_visible()


def comments(forge: JudgedForge, number: int) -> list[str]:
    with forge.client() as api:
        found = stage.ok(api.get(f"{_REPO}/issues/{number}/comments"))
    return [f"{each['user']['login']}: {each['body']}" for each in found]


def test_a_person_sets_the_bot_up_in_the_browser_and_it_plans_without_a_restart(
    forge: JudgedForge, server: Server
) -> None:
    with forge.client() as api:
        stage.ok(api.post("/user/repos", json={"name": stage.REPO, "private": True}))
        for path, text in FILES.items():
            content = base64.b64encode(text.encode()).decode()
            stage.ok(api.put(f"{_REPO}/contents/{path}", json={"message": f"Add {path}", "content": content}))
    with server.running(), browsing() as page:
        make_the_app(page, server.link())
        pid = server.process.pid
        page.get_by_role("link", name="Install gitwright-at-home").click()
        page.get_by_label(f"{stage.OWNER}/{stage.REPO}").check()
        page.get_by_role("button", name="Install").click()
        page.goto(f"{forge.url}/{stage.OWNER}/{stage.REPO}/issues/new")
        page.get_by_label("Title").fill("Say goodbye")
        page.locator("form", has=page.get_by_label("Title")).get_by_role("button").click()
        page.wait_for_url(re.compile(r"/issues/\d+$"))
        number = int(page.url.rpartition("/")[2])
        with forge.client() as api:
            stage.ok(api.post(f"{_REPO}/issues/{number}/labels", json={"labels": ["agent:plan"]}))
        until("a plan", lambda: any("<!-- gitwright:plan" in each for each in comments(forge, number)))
        assert server.process.pid == pid
        assert (server.data / "serve.pid").read_text() == f"{pid}\n"
        assert server.end() == 0
    stored = (server.data / "credentials.json").read_text()
    assert (server.data / "credentials.json").stat().st_mode & 0o777 == 0o600
    said = server.log + server.printed
    for secret in re.findall(r'"(?:private_key|webhook_secret)": "([^"]{8,})"', stored):
        assert secret not in said
        assert secret[40:80] not in said or len(secret) < 100
    assert re.search(r"token=([\w-]+)", server.printed)[1] not in server.log  # type: ignore[index]
    assert "Traceback" not in said

    with server.running():
        until("the bot is ready", server.ready)
        assert server.printed == ""
        old_link = server.ask("/setup?token=x")
        assert old_link is not None
        assert (old_link.status_code, "set up already" in old_link.text) == (410, True)
        assert server.end() == 0


def test_a_signal_during_set_up_ends_the_server_in_order(server: Server) -> None:
    with server.running():
        server.link()
        for path, status in (("/healthz", 200), ("/readyz", 503), ("/", 303), ("/setup", 403)):
            answer = server.ask(path)
            assert answer is not None
            assert answer.status_code == status
        assert server.end() == 0
    assert "Traceback" not in server.log
    assert [path.name for path in server.data.iterdir()] == ["bot.lock"]


def test_a_second_server_on_the_same_data_leaves_the_one_that_is_being_set_up_alone(server: Server) -> None:
    second = replace(server, folder=server.folder / "second", settings={**server.settings, "PORT": "0"})
    second.folder.mkdir()
    with server.running():
        server.link()
        with second.running():
            assert second.process.wait(_PATIENCE) == 1
        assert f"(process {server.process.pid})" in second.log
        assert "Traceback" not in second.log
        assert (server.data / "serve.pid").read_text() == f"{server.process.pid}\n"
        assert server.end() == 0


def test_a_port_in_use_ends_the_start_with_the_next_step(server: Server) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        server.settings["PORT"] = str(other.getsockname()[1])
        with server.running():
            assert server.process.wait(_PATIENCE) == 1
    assert f"Port {server.settings['PORT']} on 127.0.0.1 is in use." in server.log
    assert "set GITWRIGHT_PORT to a free port" in server.log
    assert "Traceback" not in server.log
    assert not (server.data / "serve.pid").exists()


def test_a_start_that_fails_after_set_up_is_shown_and_repeated_without_a_restart(
    forge: JudgedForge, server: Server
) -> None:
    server.data.mkdir()
    (server.data / "gitwright.sqlite").mkdir()  # so that no database opens
    with (
        server.running(),
        httpx.Client(follow_redirects=True, timeout=60, trust_env=False, verify=False) as http,
    ):
        page = http.get(server.link()).text
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)
        assert csrf is not None
        base = f"http://127.0.0.1:{server.port}/setup"
        failed = http.post(f"{base}/token", data={"csrf": csrf[1], "token": forge.token})
        assert failed.status_code == 503
        assert "Gitwright could not start" in failed.text
        assert (server.data / "credentials.json").exists()
        (server.data / "gitwright.sqlite").rmdir()
        done = http.post(f"{base}/start", data={"csrf": csrf[1]})
        assert (done.status_code, "Gitwright works as maintainer" in done.text) == (200, True)
        until("the bot is ready", server.ready)
        assert server.end() == 0


def test_stored_credentials_that_cannot_be_used_end_the_start_with_their_place(server: Server) -> None:
    server.data.mkdir()
    (server.data / "credentials.json").write_text('{"version": 1}')
    with server.running():
        assert server.process.wait(_PATIENCE) == 1
    assert f"The stored credentials `{server.data}/credentials.json` are not usable:" in server.log
    assert "Traceback" not in server.log


def test_a_webhook_secret_without_an_identity_is_refused_before_an_app_is_made(server: Server) -> None:
    server.settings["WEBHOOK_SECRET"] = "hunter2"
    with server.running():
        assert server.process.wait(_PATIENCE) == 1
    assert "GITWRIGHT_WEBHOOK_SECRET is set, and neither" in server.log
    assert "hunter2" not in server.log


def test_token_mode_that_would_hear_of_nothing_is_refused_with_all_that_is_wrong(server: Server) -> None:
    server.settings |= {"TOKEN": "ghp_x", "POLL_DELIVERIES": "true"}
    with server.running():
        assert server.process.wait(_PATIENCE) == 1
    assert "GITWRIGHT_TOKEN needs GITWRIGHT_WEBHOOK_SECRET" in server.log
    assert "GITWRIGHT_POLL_DELIVERIES needs an App" in server.log
    assert "Traceback" not in server.log


@pytest.mark.long
def test_a_page_in_the_open_and_a_file_that_others_read_are_warned_about(server: Server) -> None:
    server.settings["HOST"] = "0.0.0.0"
    with server.running():
        server.link()
        until("the warning", lambda: "setup_page_in_the_open" in server.log)
        assert server.end() == 0
    stored = Credentials.model_validate(
        {
            "github_api_url": server.settings["GITHUB_API_URL"],
            "token": "ghp_none",
            "webhook_secret": "w",
        }
    )
    credentials.store(server.data, stored).chmod(0o644)
    with server.running():
        until("the warning", lambda: "credentials_exposed" in server.log)
        until("the bot serves", lambda: server.ask("/healthz"))
        assert server.end() == 0
