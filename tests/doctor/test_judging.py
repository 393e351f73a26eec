"""What each check makes of what was seen, without a machine or a forge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.core.config import ConfigProblem, RepoConfig
from bot.core.values import Repo
from bot.doctor import database, identity, machine, models, process_settings, repository, webhook, workflows
from bot.doctor.branches import judge_prefix, judge_rules
from bot.doctor.check import Finding
from bot.forges.github.apps import AppFacts
from bot.forges.github.inspection import (
    BranchRule,
    DeliveryFacts,
    HookFacts,
    InstallationFacts,
    Reception,
    RepoFacts,
)
from bot.models.names import Named
from bot.models.prices import Price
from bot.sandbox.evidence import Evidence
from bot.settings import load_settings

WANTED = {"metadata": "read", "issues": "write"}
APP = AppFacts(1, "helper", "https://github.com/apps/helper", WANTED, ("issues", "push"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def level(finding: Finding) -> str:
    """The level; whatever is not ok names a next step, and what is ok has none."""
    assert bool(finding.step) == (finding.level != "ok"), finding
    assert finding.text.endswith((".", "!")), finding
    return finding.level


# --- the machine and the settings --------------------------------------------------------------------


def test_versions() -> None:
    assert level(machine.judge_python((3, 10, 9))) == "failed"
    assert level(machine.judge_python((3, 13, 1))) == "ok"
    assert level(machine.judge_sqlite((3, 40, 0))) == "failed"
    assert level(machine.judge_sqlite((3, 40, 1))) == "warning"
    assert level(machine.judge_sqlite((3, 42, 0))) == "ok"


def test_the_sandbox_against_the_required_level() -> None:
    plain = Evidence(bwrap="/usr/bin/bwrap")
    assert level(machine.judge_sandbox("medium", "medium", "bubblewrap", plain)) == "ok"
    assert level(machine.judge_sandbox("none", "medium", "bubblewrap", plain)) == "warning"
    assert "GITWRIGHT_SANDBOX=medium" in machine.judge_sandbox("strong", "medium", "bubblewrap", plain).step
    lacks = machine.judge_sandbox("medium", "none", "none", Evidence(problems=("bwrap: no such file",)))
    assert level(lacks) == "failed"
    assert lacks.details == ("bwrap: no such file",)
    assert "bubblewrap" in lacks.text
    without = machine.judge_sandbox("none", "none", "none", Evidence(distribution=("ubuntu", "debian")))
    assert (level(without), without.step[:32]) == ("warning", "`apt-get install bubblewrap`. Or")


def test_the_data_folder() -> None:
    folder = Path("/srv/data")
    assert level(machine.judge_folder(folder, 0o700, writable=True)) == "ok"
    assert level(machine.judge_folder(folder, 0o755, writable=True)) == "warning"
    assert level(machine.judge_folder(folder, None, writable=True)) == "ok"
    assert level(machine.judge_folder(folder, 0o700, writable=False)) == "failed"


def test_settings_and_their_problems() -> None:
    broken = process_settings.judge(None, "The settings are not usable; mend these:\n- `A`: x\n- `B`: y")
    assert (level(broken), broken.details) == ("failed", ("`A`: x", "`B`: y"))
    assert "set-up page" in process_settings.judge(load_settings(None), "").step
    assert level(process_settings.judge(load_settings(None, token="t", webhook_secret="w"), "")) == "ok"


def test_token_mode_that_hears_of_nothing() -> None:
    deaf = process_settings.judge(load_settings(None, token="t"), "")
    assert level(deaf) == "failed"
    assert "GITWRIGHT_TOKEN needs GITWRIGHT_WEBHOOK_SECRET" in deaf.details[0]
    both = process_settings.judge(load_settings(None, token="t", poll_deliveries=True), "")
    assert len(both.details) == 2
    polls = load_settings(None, token="t", webhook_secret="w", poll_deliveries=True)
    assert "GITWRIGHT_POLL_DELIVERIES needs an App" in process_settings.judge(polls, "").details[0]


@pytest.mark.parametrize(
    ("api", "expected"),
    [
        ("http://ghes.corp.example/api/v3", "warning"),
        ("http://10.1.2.3/api/v3", "warning"),
        ("https://ghes.corp.example/api/v3", "ok"),
        ("http://127.0.0.1:3000", "ok"),
        ("http://localhost:3000", "ok"),
    ],
)
def test_a_forge_over_plain_http_is_told_of_unless_it_is_on_this_machine(api: str, expected: str) -> None:
    settings = load_settings(None, token="t", webhook_secret="w", github_api_url=api)
    assert level(process_settings.judge(settings, "")) == expected


def test_schema_versions_of_the_database() -> None:
    assert level(database.judge("x", None, 3)) == "ok"
    assert level(database.judge("x", 2, 3)) == "ok"
    assert level(database.judge("x", 4, 3)) == "failed"


# --- who the bot is ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("met", "in_app", "step"),
    [
        (Reception(refusal="GET /app: 401 no", status=401, skew=400.0), True, "clock"),
        (Reception(refusal="GET /app: 401 no", status=401, skew=0.0), True, "GITWRIGHT_APP_ID"),
        (Reception(refusal="GET /user: 401 no", status=401), False, "GITWRIGHT_TOKEN"),
        (Reception(refusal="GET /app: no answer"), True, "GITWRIGHT_GITHUB_API_URL"),
    ],
)
def test_a_refusal_names_what_to_mend(met: Reception, in_app: bool, step: str) -> None:
    finding = identity.judge_reception(met, "https://api.github.com", in_app)
    assert level(finding) == "failed"
    assert step in finding.step


def test_the_proxy_on_the_way_is_named() -> None:
    url, proxy = "https://api.github.com", "http://proxy.corp:3128"
    met = identity.judge_reception(Reception("gitwright"), url, True, proxy)
    assert met.text == f"{url} knows us as the App `gitwright`, by way of the proxy {proxy}."
    silent = identity.judge_reception(Reception(refusal="GET /app: no answer"), url, True, proxy)
    assert proxy in silent.text
    assert "NO_PROXY" in silent.step
    straight = identity.judge_reception(Reception(refusal="GET /app: no answer"), url, True)
    assert "set HTTPS_PROXY" in straight.step


@pytest.mark.parametrize(
    ("skew", "expected"), [(0.4, "ok"), (-4.0, "ok"), (30.0, "warning"), (-90.0, "failed"), (None, "unknown")]
)
def test_the_clock(skew: float | None, expected: str) -> None:
    assert level(identity.judge_clock(skew)) == expected


def test_permissions_missing_and_too_many() -> None:
    assert level(identity.judge_permissions(APP, WANTED)) == "ok"
    less = identity.judge_permissions(APP, {**WANTED, "checks": "write"})
    assert (level(less), less.details) == ("failed", ("missing: checks: write",))
    more = identity.judge_permissions(APP, {"metadata": "read", "issues": "read"})
    assert (level(more), more.details) == ("warning", ("not needed: issues: write",))


def test_events_missing_and_too_many() -> None:
    assert level(identity.judge_events(APP, ["push", "issues"])) == "ok"
    assert level(identity.judge_events(APP, ["push", "issues", "check_suite"])) == "failed"
    assert level(identity.judge_events(APP, ["push"])) == "warning"


def test_installations() -> None:
    good = InstallationFacts(1, "ada", "https://github.com/i/1", WANTED, suspended=False)
    old = InstallationFacts(2, "bob", "https://github.com/i/2", {"metadata": "read"}, suspended=False)
    asleep = InstallationFacts(3, "eve", "https://github.com/i/3", WANTED, suspended=True)

    def judged(*found: InstallationFacts) -> Finding:
        return identity.judge_installations(APP, found, WANTED)

    assert level(judged()) == "failed"
    assert level(judged(good)) == "ok"
    unapproved = judged(good, old)
    assert (level(unapproved), unapproved.details) == ("warning", ("bob: not approved yet: issues: write",))
    assert level(judged(good, asleep)) == "warning"
    assert level(judged(asleep)) == "failed"


# --- the webhook -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hook", "expected", "text"),
    [
        (HookFacts("https://bot.example.com/webhook", "json", True), "ok", "bot.example.com"),
        (HookFacts("https://example.invalid/webhook", "json", True), "failed", "leads nowhere"),
        (HookFacts("", "json", True), "failed", "leads nowhere"),
        (HookFacts("https://bot.example.com/webhook", "form", True), "failed", "`form`"),
        (HookFacts("https://bot.example.com/webhook", "json", False), "failed", "no secret"),
        (HookFacts("https://bot.example.com/hook", "json", True), "warning", "/hook"),
        (HookFacts("http://127.0.0.1:8080/webhook", "json", True), "failed", "cannot reach"),
    ],
)
def test_how_the_webhook_is_configured(hook: HookFacts, expected: str, text: str) -> None:
    finding = webhook.judge_config(hook, load_settings(None, token="t"))
    assert level(finding) == expected
    assert text in finding.text
    assert level(webhook.judge_config(hook, load_settings(None, token="t", poll_deliveries=True))) == "ok"


@pytest.mark.parametrize(
    ("api", "hook", "expected"),
    [
        ("https://github.corp.example/api/v3", "http://10.1.2.3:8080/webhook", "ok"),
        ("https://github.corp.example/api/v3", "http://bot.local/webhook", "ok"),
        ("https://github.corp.example/api/v3", "http://localhost:8080/webhook", "failed"),
        ("https://api.github.com", "http://10.1.2.3:8080/webhook", "failed"),
        ("https://api.acme.ghe.com", "http://bot.internal/webhook", "failed"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:8080/webhook", "ok"),
    ],
)
def test_whether_a_forge_reaches_us_is_judged_as_set_up_judges_it(api: str, hook: str, expected: str) -> None:
    settings = load_settings(None, token="t", github_api_url=api)
    assert level(webhook.judge_config(HookFacts(hook, "json", True), settings)) == expected


def deliveries(*codes: int) -> list[DeliveryFacts]:
    """Deliveries of an event each, newest first."""
    return [DeliveryFacts(f"guid-{n}", "issues", code, "", NOW) for n, code in enumerate(codes)]


def test_what_came_of_deliveries() -> None:
    assert level(webhook.judge_deliveries([], polled=False)) == "warning"
    assert level(webhook.judge_deliveries(deliveries(202, 202), polled=False)) == "ok"
    now = webhook.judge_deliveries(deliveries(401, 401, 202, 0), polled=False)
    assert level(now) == "failed"
    assert now.details == ("2 x 401", "1 x no answer")
    assert "GITWRIGHT_WEBHOOK_SECRET" in now.step
    assert level(webhook.judge_deliveries(deliveries(202, 502), polled=False)) == "warning"
    again = [DeliveryFacts("guid-0", "issues", 202, "OK", NOW), *deliveries(502)]
    assert level(webhook.judge_deliveries(again, polled=False)) == "ok"
    assert level(webhook.judge_deliveries(deliveries(502), polled=True)) == "ok"


def test_webhooks_of_a_repository() -> None:
    wanted = ("issues", "push")
    good = HookFacts("https://bot.example.com/webhook", "json", True, last=202, events=("push", "issues"))
    no_secret, asleep = replace(good, secret=False), replace(good, active=False)
    fails, pushes = replace(good, last=500), replace(good, events=("push",))

    def judged(*hooks: HookFacts) -> Finding:
        return webhook.judge_hooks(hooks, wanted)

    assert level(judged(good)) == "ok"
    assert level(judged(replace(good, events=("*",)))) == "ok"
    assert level(judged()) == "failed"
    assert level(judged(asleep)) == "failed"
    assert "secret" in judged(no_secret).text
    assert level(judged(fails)) == "failed"
    assert (level(judged(pushes)), judged(pushes).details) == ("failed", ("missing: issues",))
    assert level(judged(fails, pushes, good)) == "ok", "others are other tools'"


# --- models and agents -------------------------------------------------------------------------------


def models_of(**named: str) -> dict[Any, Named]:
    roles = ("planning", "backlog", "documentation", "simple", "complex")
    return {role: Named((named[role],) if role in named else (), consent=True) for role in roles}


def judge(roles: Mapping[Any, Named], without: Sequence[str] = (), unpriced: Sequence[str] = ()) -> Finding:
    return models.judge_models(
        roles,
        problem=lambda name: "its key is not set: KEY" if name in without else "",
        cost=lambda name: None if name in unpriced else Price(1, 1),
        free_tier=False,
    )


def test_each_role_needs_a_model_and_simpler_work_takes_those_of_the_next_class() -> None:
    some = models_of(planning="a:x", backlog="a:y", complex="a:z")
    assert level(judge(some)) == "ok"
    assert level(judge(some, unpriced=["a:z"])) == "warning"
    lacks = judge(some, without=["a:y"])
    assert (level(lacks), lacks.text) == ("failed", "No usable model for backlog.")
    assert "backlog: `a:y` is not used: its key is not set: KEY" in lacks.details
    assert (
        judge(models_of(planning="a:x", backlog="a:y", simple="a:z")).text == "No usable model for complex."
    )


def test_a_model_without_its_key_is_told_of_though_another_is_there() -> None:
    both = {**models_of(backlog="a:y", complex="a:z"), "planning": Named(("a:x", "b:x"), consent=True)}
    assert level(judge(both, without=["b:x"])) == "warning"


def test_a_free_tier_needs_consent() -> None:
    roles: dict[Any, Named] = {"planning": Named(("google:gemini-3.8-flash",))}
    assert level(judge(roles)) == "failed"


def test_agents() -> None:
    assert level(models.judge_agents({"agent x": ("", "")})) == "ok"
    found = models.judge_agents(
        {"agent x": ("`x` is not on the PATH", "Install x."), "planning agent y": ("no", "")}
    )
    assert (level(found), found.step, found.details) == ("failed", "Install x.", ("planning agent y: no",))


# --- repositories ------------------------------------------------------------------------------------


def repo(**more: Any) -> Repo:
    return Repo(1, "ada", "greet", "main", True, 1, **more)


def test_a_repository_that_is_open_for_work() -> None:
    assert level(repository.judge_state(RepoFacts(repo(), True, None), empty=False)) == "ok"
    assert level(repository.judge_state(RepoFacts(repo(), False, None), empty=False)) == "failed"
    assert level(repository.judge_state(RepoFacts(repo(), True, None), empty=True)) == "failed"
    assert level(repository.judge_state(RepoFacts(repo(archived=True), True, None), empty=False)) == "failed"
    assert level(repository.judge_state(RepoFacts(repo(fork=True), True, None), empty=False)) == "warning"


def test_settings_of_a_repository() -> None:
    assert level(repository.judge_settings(None, ())) == "ok"
    assert level(repository.judge_settings("draft: true", ())) == "ok"
    wrong = ConfigProblem(3, "The key `labls` is not known", "Did you mean `labels`?")
    found = repository.judge_settings("x", (wrong,))
    assert (level(found), found.details) == ("failed", (str(wrong),))


def test_labels_in_any_case() -> None:
    names = repository.wanted_labels(RepoConfig())
    assert next(iter(names)) == "agent:plan"
    assert level(repository.judge_labels(RepoConfig(), [name.upper() for name in names])) == "ok"
    assert level(repository.judge_labels(RepoConfig(), ["agent:plan"])) == "warning"


def test_tests_of_a_repository() -> None:
    assert level(repository.judge_tests(RepoConfig(test="make test"), (), True)) == "ok"
    assert level(repository.judge_tests(RepoConfig(test="none"), ("go.mod",), True)) == "warning"
    assert level(repository.judge_tests(RepoConfig(), ("go.mod",), True)) == "ok"
    assert level(repository.judge_tests(RepoConfig(), ("README.md",), True)) == "warning"


# --- branches ----------------------------------------------------------------------------------------


def test_branches_in_the_way() -> None:
    assert level(judge_prefix("agent", ["agent/issue-1/backlog", "agents"])) == "ok"
    assert "`agent`" in judge_prefix("agent", ["agent"]).text
    assert "`bots`" in judge_prefix("bots/agent", ["bots"]).text
    assert "`agent/issue-7`" in judge_prefix("agent", ["agent/issue-7"]).text


def rule(kind: str, **parameters: Any) -> BranchRule:
    return BranchRule(kind, parameters, "ada/greet")


@pytest.mark.parametrize(
    ("kind", "parameters", "expected"),
    [
        ("creation", {}, "failed"),
        ("update", {}, "failed"),
        ("pull_request", {}, "failed"),
        ("non_fast_forward", {}, "warning"),
        ("deletion", {}, "ok"),
        ("required_linear_history", {}, "warning"),
        ("required_signatures", {}, "ok"),
        ("branch_name_pattern", {"operator": "starts_with", "pattern": "agent/"}, "ok"),
        ("branch_name_pattern", {"operator": "starts_with", "pattern": "agent/", "negate": True}, "failed"),
        ("commit_message_pattern", {"operator": "regex", "pattern": "^[A-Z]+-[0-9]+"}, "warning"),
        ("commit_message_pattern", {"operator": "regex", "pattern": "(?<"}, "warning"),
        ("commit_author_email_pattern", {"operator": "ends_with", "pattern": "@corp"}, "warning"),
        ("something_new", {}, "warning"),
    ],
)
def test_rules_on_our_branches(kind: str, parameters: dict[str, Any], expected: str) -> None:
    found = judge_rules({"agent/issue-1/T-1-a1": [rule(kind, **parameters)]}, "main", [], signs=True)
    assert level(found) == expected
    assert found.details[0].startswith(f"{kind} from ada/greet on `agent/issue-1/T-1-a1`: ")


def test_rules_on_the_default_branch() -> None:
    fine = [rule("pull_request"), rule("required_status_checks"), rule("non_fast_forward")]
    assert level(judge_rules({}, "main", fine, signs=True)) == "ok"
    linear = judge_rules({}, "main", [rule("required_linear_history")], signs=True)
    assert (level(linear), "people merge by squash" in linear.details[0]) == ("ok", True)
    assert level(judge_rules({}, "main", [rule("update")], signs=True)) == "warning"
    assert level(judge_rules({}, "main", [rule("required_signatures")], signs=False)) == "warning"
    ours = {"agent/issue-1/backlog": [rule("required_signatures")]}
    assert level(judge_rules(ours, "main", [], signs=False)) == "failed"


# --- CI ----------------------------------------------------------------------------------------------

SECRET = "on: push\njobs: {a: {steps: [{run: 'x ${{ secrets.KEY }}'}]}}\n"


def test_workflows_with_secrets_and_those_that_cannot_be_read() -> None:
    def judged(**files: str) -> Finding:
        paths = {f".github/workflows/{name}.yml": text for name, text in files.items()}
        return workflows.judge_secrets(paths, "agent", "main", private=True)

    assert level(judged()) == "ok"
    found = judged(ci=SECRET, odd="[")
    assert level(found) == "warning"
    assert found.details[0] == ".github/workflows/ci.yml:2: `secrets.KEY`, on push"
    assert level(judged(odd="[")) == "unknown"


def test_ci_of_any_kind() -> None:
    def judged(others: Sequence[str] = (), checks: Sequence[str] = (), **files: str) -> str:
        return workflows.judge_ci(files, others, checks, "bot", "main").text

    assert "ci" in judged(ci=SECRET)
    assert "ours" in judged(ours="on: {push: {branches: ['bot/**']}}\n")
    assert "no CI" in judged(after="on: {workflow_run: {workflows: [CI]}}\n")
    assert "Jenkinsfile" in judged(others=["Jenkinsfile"])
    assert "build" in judged(checks=["build"])
    assert "no CI" in judged(nightly="on: {schedule: [{cron: x}]}\n")
