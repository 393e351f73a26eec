"""The settings of the process: what is read, and what an operator reads when something is wrong."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from inline_snapshot import snapshot
from pydantic import ValidationError

from bot.core import config as config_file
from bot.errors import UserError
from bot.settings import Settings, load_settings

KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # a checkout may hold stored credentials
    for name in list(os.environ):
        if name.startswith("GITWRIGHT_"):
            monkeypatch.delenv(name)


def load(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(f"GITWRIGHT_{name}", value)
    return load_settings(None)


def test_without_settings_an_app_has_yet_to_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    assert settings.mode == "setup"
    assert settings.database == f"sqlite:///{Path('data').absolute()}/gitwright.sqlite"
    assert (settings.host, settings.port, settings.write_gap) == ("127.0.0.1", 8080, 1.0)


def test_an_app_is_read_with_several_webhook_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, APP_ID="7", PRIVATE_KEY=KEY.replace("\n", "\\n"), WEBHOOK_SECRET="new, old,")
    assert settings.mode == "app"
    assert settings.private_key is not None
    assert settings.private_key.get_secret_value() == KEY
    assert [secret.get_secret_value() for secret in settings.webhook_secret] == ["new", "old"]


def test_the_key_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "app.pem"
    path.write_text(KEY, encoding="ascii")
    settings = load(monkeypatch, APP_ID="7", PRIVATE_KEY_PATH=str(path), WEBHOOK_SECRET="s")
    assert (settings.mode, settings.private_key_path) == ("app", path)
    assert KEY[40:80] not in repr(settings.model_dump()), "only the broker reads it"
    token = tmp_path / "token"
    token.write_text("ghp_hunter2")
    path.rename(tmp_path / "away")
    monkeypatch.delenv("GITWRIGHT_APP_ID")
    monkeypatch.delenv("GITWRIGHT_PRIVATE_KEY_PATH")
    person = load(monkeypatch, TOKEN_PATH=str(token))
    assert (person.mode, person.token) == ("token", None)


@pytest.mark.parametrize(
    ("text", "planning"),
    [("scripted", ("scripted",)), ('{"planning": ["google:a", "openai:b"]}', ("google:a", "openai:b"))],
)
def test_models_are_one_name_or_a_table(
    monkeypatch: pytest.MonkeyPatch, text: str, planning: tuple[str, ...]
) -> None:
    models = load(monkeypatch, MODELS=text).models
    assert models is not None
    assert models["planning"] == planning


def test_the_environment_wins_over_the_file_and_empty_counts_as_absent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "GITWRIGHT_PORT=1\nGITWRIGHT_HOST=0.0.0.0\nOTHER=x\nGITWRIGHT_UNKNOWN=x\n", encoding="utf-8"
    )
    monkeypatch.setenv("GITWRIGHT_PORT", "2")
    monkeypatch.setenv("GITWRIGHT_HOST", "")
    settings = load_settings(path)
    assert (settings.port, settings.host) == (2, "0.0.0.0")
    assert load_settings(path, port=3).port == 3


@pytest.mark.parametrize(
    ("said", "sent"),
    [("", "2022-11-28"), ("2026-03-10", "2026-03-10"), ("none", ""), ("None", None), ("v3", None)],
)
def test_the_version_of_the_api_is_a_date_or_none(
    monkeypatch: pytest.MonkeyPatch, said: str, sent: str | None
) -> None:
    if sent is None:
        with pytest.raises(UserError, match="must be a date such as 2022-11-28, or `none`"):
            load(monkeypatch, GITHUB_API_VERSION=said)
    else:
        assert load(monkeypatch, GITHUB_API_VERSION=said).github_api_version == sent


def test_secrets_are_in_no_text_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        APP_ID="7",
        PRIVATE_KEY=KEY,
        WEBHOOK_SECRET="hook-secret",
        DATABASE_URL="postgresql://bot:db-word@localhost/bot",
    )
    shown = f"{settings!r} {settings} {settings.model_dump_json()}"
    assert settings.secrets() == ("hook-secret", KEY, "db-word")
    assert not [secret for secret in settings.secrets() if secret in shown]


def test_settings_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError):
        load(monkeypatch).port = 1  # type: ignore[misc]


def test_every_problem_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError) as caught:
        load(
            monkeypatch,
            PORT="http",
            GITHUB_API_URL="github",
            GITHUB_GIT_URL="https://h/x.git",
            MODELS="{",
            SANDBOX="weak",
            SCRIPT="nowhere.yaml",
            WRITE_GAP="-1",
        )
    assert str(caught.value) == snapshot("""\
The settings are not usable; mend these and start again:
- `GITWRIGHT_GITHUB_API_URL`: must be an address such as https://api.github.com or https://HOST/api/v3
- `GITWRIGHT_GITHUB_GIT_URL`: must contain {owner} and {repo}, such as https://HOST/{owner}/{repo}.git
- `GITWRIGHT_PORT`: Input should be a valid integer, unable to parse string as an integer
- `GITWRIGHT_SCRIPT`: there is no file `nowhere.yaml`
- `GITWRIGHT_MODELS`: is no valid JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
- `GITWRIGHT_SANDBOX`: Input should be 'strong', 'medium' or 'none'
- `GITWRIGHT_WRITE_GAP`: Input should be greater than or equal to 0\
""")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"APP_ID": "7"}, "PRIVATE_KEY"),
        ({"APP_ID": "7", "PRIVATE_KEY": KEY}, "WEBHOOK_SECRET"),
        ({"APP_ID": "7", "PRIVATE_KEY": KEY, "WEBHOOK_SECRET": "s", "TOKEN": "t"}, "not both"),
        ({"PRIVATE_KEY": KEY}, "without APP_ID"),
        ({"APP_ID": "7", "PRIVATE_KEY": "hunter2", "WEBHOOK_SECRET": "s"}, "no PEM"),
        ({"APP_ID": "7", "PRIVATE_KEY_PATH": "/nowhere.pem"}, "cannot be read"),
        ({"APP_ID": "7", "PRIVATE_KEY_PATH": "/nowhere.pem", "PRIVATE_KEY": KEY}, "not both"),
    ],
)
def test_half_an_identity_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        load(monkeypatch, **values)
    assert "hunter2" not in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("sandbox", "demo", "forge", "unboxed"),
    [
        ("medium", False, "https://api.github.com", False),
        ("none", False, "https://api.github.com", True),
        ("none", True, "https://api.github.com", True),
        ("none", False, "http://127.0.0.1:9/api/v3", True),
        ("none", True, "http://127.0.0.1:9/api/v3", False),
        ("none", True, "http://127.0.0.1.evil.example/api/v3", True),
    ],
)
def test_only_the_demo_on_its_own_forge_is_spared_the_rules_for_work_without_a_sandbox(
    sandbox: str, demo: bool, forge: str, unboxed: bool
) -> None:
    assert load_settings(None, sandbox=sandbox, demo=demo, github_api_url=forge).unboxed is unboxed


@pytest.mark.parametrize("name", ["sandbox", "demo", "container", "container_image", "unboxed"])
def test_no_setting_of_a_repository_says_anything_about_sandboxes(name: str) -> None:
    config, problems = config_file.parse(f"{name}: none\n")
    assert config == config_file.RepoConfig()
    assert [problem.code for problem in problems] == ["UNKNOWN_KEY"]
