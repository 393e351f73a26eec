"""What set-up stored: how it is written, how the settings read it, and what is said where it cannot be used."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from inline_snapshot import snapshot

from bot import credentials
from bot.credentials import Credentials
from bot.errors import UserError
from bot.keys import key_problems
from bot.settings import Settings, load_settings

API = "https://api.github.com"


def pem(key: Any) -> str:
    made: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.decode()


KEY = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("GITWRIGHT_"):
            monkeypatch.delenv(name)


def app(**more: Any) -> Credentials:
    fields = {"github_api_url": API, "app_id": "7", "private_key": KEY, "webhook_secret": "a,b", **more}
    return Credentials.model_validate(fields)


def read(folder: Path, **settings: Any) -> Settings:
    return load_settings(None, data_dir=folder, **settings)


def test_they_are_written_for_this_user_alone_whatever_the_mask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = credentials.store(tmp_path, app())
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    key = tmp_path / "app.private-key.pem"
    assert sorted(tmp_path.iterdir()) == [key, path]
    assert key.stat().st_mode & 0o777 == 0o600
    assert KEY[40:80] not in path.read_text(), "so that the rest can be read without it"
    assert credentials.opened(tmp_path) == app()
    for each in (path, key):
        assert not credentials.exposed(tmp_path)
        each.chmod(0o640)
        assert credentials.exposed(tmp_path)
        each.chmod(0o600)


def test_those_that_are_there_are_never_overwritten(tmp_path: Path) -> None:
    credentials.store(tmp_path, app())
    with pytest.raises(UserError, match="holds credentials already"):
        credentials.store(tmp_path, app(app_id="8"))
    assert credentials.opened(tmp_path) == app()


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written to"):
        credentials.store(tmp_path / "nowhere", app())
    assert list(tmp_path.iterdir()) == []


def test_settings_read_them_with_the_lowest_priority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(tmp_path).mode == "setup"
    credentials.store(tmp_path, app(poll_deliveries=True))
    stored = read(tmp_path)
    key = tmp_path / "app.private-key.pem"
    assert (stored.mode, stored.app_id, stored.private_key_path, stored.private_key) == (
        "app",
        "7",
        key,
        None,
    )
    assert key.read_text() == KEY
    assert [each.get_secret_value() for each in stored.webhook_secret] == ["a,b"]
    assert set(stored.secrets()) == {"a,b"}

    monkeypatch.setenv("GITWRIGHT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("GITWRIGHT_WEBHOOK_SECRET", "new,old")
    rotating = load_settings(None)
    assert rotating.app_id == "7"
    assert [each.get_secret_value() for each in rotating.webhook_secret] == ["new", "old"]

    other = tmp_path / "other.pem"
    other.write_text(pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)), encoding="ascii")
    monkeypatch.setenv("GITWRIGHT_PRIVATE_KEY_PATH", str(other))
    assert load_settings(None).private_key_path == other
    monkeypatch.delenv("GITWRIGHT_PRIVATE_KEY_PATH")

    dotenv = tmp_path / ".env"
    dotenv.write_text("GITWRIGHT_TOKEN=t\n", encoding="ascii")
    token = load_settings(dotenv)
    assert (token.mode, token.app_id, token.private_key) == ("token", None, None)


def test_they_are_for_one_forge_and_handed_to_no_other(tmp_path: Path) -> None:
    credentials.store(tmp_path, app(github_api_url="https://ghes.example/api/v3"))
    assert read(tmp_path).github_api_url == "https://ghes.example/api/v3"
    assert read(tmp_path, github_api_url="https://ghes.example/api/v3/").mode == "app"
    with pytest.raises(UserError, match=r"are for https://ghes\.example/api/v3") as caught:
        read(tmp_path, github_api_url=API)
    assert str(tmp_path / "credentials.json") in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "",
        '{"version": 2, "extra": 1}',
        json.dumps({"github_api_url": API}),
        json.dumps({"github_api_url": API, "app_id": "7", "token": "hunter2"}),
        json.dumps({"github_api_url": API, "app_id": "7", "private_key": "hunter2", "webhook_secret": "s"}),
        json.dumps({"github_api_url": API, "app_id": "7", "private_key": KEY[:400], "webhook_secret": "s"}),
        json.dumps({"github_api_url": API, "app_id": "7", "private_key": KEY}),
    ],
    ids=["cut", "list", "empty", "unknown", "nobody", "both", "no key", "cut key", "no secret"],
)
def test_a_file_that_cannot_be_used_is_named_and_no_secret_of_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    said = str(caught.value)
    assert f"`{path}` are not usable:\n- " in said
    assert "move it away and start again" in said
    assert "hunter2" not in said
    assert KEY[40:80] not in said
    assert read(tmp_path, token="t").mode == "token", "a file that does not count must not be in the way"


def test_every_problem_of_the_file_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text('{"version": 2, "app": 1}', encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert str(caught.value).replace(str(tmp_path), "DATA") == snapshot("""\
The stored credentials `DATA/credentials.json` are not usable:
- version Input should be 1
- github_api_url Field required
- app Extra inputs are not permitted
Mend the file, or move it away and start again: set-up then writes a new one.\
""")


def test_a_file_that_is_not_ours_to_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").mkdir()
    with pytest.raises(UserError, match=r"credentials.json` cannot be read"):
        read(tmp_path)


def test_keys_that_no_app_has_are_told_apart() -> None:
    assert key_problems(KEY) == []
    assert key_problems(pem(ec.generate_private_key(ec.SECP256R1()))) == [
        "is not an RSA key, as those of GitHub Apps are"
    ]
