"""pytest plugin: one record of all judges for the whole run, over all worker processes.

A violation fails the test in which it happened, and the run. With `--judge-complete` (a run of the whole suite)
the run also fails if an operation or event of `operations.py` was never judged with success: so a judge that is
switched off (`JUDGE=off`), or a route without a test, cannot go unnoticed.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.judges.openapi import Judge
from tests.judges.operations import EVENTS, OPERATIONS
from tests.judges.record import Record
from tests.judges.webhooks import WebhookJudge

if TYPE_CHECKING:
    from tests.judges.world import World

_RECORD = pytest.StashKey[Record]()
_WORKER_KEY = "judges"
_SHOWN = 40


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--judge-complete",
        action="store_true",
        help="fail unless every operation and event of tests/judges/operations.py was judged with success",
    )
    parser.addini("judge_complete_for", "what --judge-complete asks for (default: all)", type="linelist")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RECORD] = Record()


@pytest.fixture(scope="session")
def judge(pytestconfig: pytest.Config) -> Judge:
    """The run's judge of REST calls; with `JUDGE=off` its findings are lost, which `--judge-complete` notices."""
    return Judge(_record_of(pytestconfig))


@pytest.fixture(scope="session")
def webhook_judge(pytestconfig: pytest.Config) -> WebhookJudge:
    """The run's judge of deliveries."""
    return WebhookJudge(_record_of(pytestconfig))


@pytest.fixture(scope="module")
def everybody(
    tmp_path_factory: pytest.TempPathFactory, judge: Judge, webhook_judge: WebhookJudge
) -> Iterator["World"]:
    """A judged forge of the module's own, with people, an App and a repository; its webhooks go nowhere."""
    from tests.judges import world  # loads the forge, which most tests do not need

    data = tmp_path_factory.mktemp("world") / "forge"
    with world.world(data, judge, webhook_judge, world.NOWHERE) as found:
        yield found


@pytest.fixture(autouse=True)
def _violations_fail_their_test(pytestconfig: pytest.Config) -> Iterator[None]:
    violations = pytestconfig.stash[_RECORD].violations
    before = len(violations)
    yield
    if new := violations[before:]:
        listed = "\n".join(f"  {violation}" for violation in new[:_SHOWN])
        pytest.fail(f"{len(new)} differences from GitHub's descriptions:\n{listed}", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    worker_output: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if worker_output is not None:
        worker_output[_WORKER_KEY] = config.stash[_RECORD].to_json()
    elif config.stash[_RECORD].violations or _missing(config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker process of xdist has ended: take what it found. All of them end before the session does."""
    reported = getattr(node, "workeroutput", {}).get(_WORKER_KEY)
    if reported is not None:
        node.config.stash[_RECORD].merge(Record.from_json(reported))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    record = config.stash[_RECORD]
    missing = _missing(config)
    judged = sum(record.operations.values()), sum(record.events.values())
    if not any(judged) and not record.violations and not missing:
        return
    terminalreporter.section("judges")
    terminalreporter.line(
        f"{judged[0]} answers of {len(record.operations)} operations and {judged[1]} deliveries of "
        f"{len(record.events)} events held against GitHub's descriptions, {len(record.violations)} violations"
    )
    for violation in record.violations[:_SHOWN]:
        terminalreporter.line(f"violation: {violation}", red=True)
    for name in missing[:_SHOWN]:
        terminalreporter.line(f"never judged with success: {name}", red=True)
    if missing[_SHOWN:]:
        terminalreporter.line(f"and {len(missing[_SHOWN:])} more", red=True)


def _record_of(config: pytest.Config) -> Record:
    return Record() if os.environ.get("JUDGE") == "off" else config.stash[_RECORD]


def _missing(config: pytest.Config) -> list[str]:
    """What the run should have judged and has not; nothing if only a part of the suite was asked for."""
    if not config.getoption("judge_complete") or config.getoption("collectonly"):
        return []
    record = config.stash[_RECORD]
    expected = config.getini("judge_complete_for") or [*map(str, OPERATIONS), *EVENTS]
    return [name for name in expected if not record.operations[name] and not record.events[name]]
