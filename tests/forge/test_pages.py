"""The pages: a person's whole way through them, and what they must never do with what others wrote."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from forge.app import create_app
from forge.pages import markdown
from forge.pages.pulls import diff_lines
from tests.forge.stage import REPO, Stage, named, staged
from tests.judges.openapi import Judge
from tests.judges.webhooks import WebhookJudge

DEMO = "/maintainer/demo"


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, judge: Judge, webhook_judge: WebhookJudge
) -> Iterator[Stage]:
    data: Path = tmp_path_factory.mktemp("pages") / "forge"
    with staged(data, judge, webhook_judge) as ready:
        yield ready


class Browser:
    """A reader who follows redirects, keeps cookies and sends the forms that a page shows."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, follow_redirects=True, timeout=60)
        self.page = ""

    def get(self, path: str) -> str:
        answer = self.http.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
        self.page = answer.text
        return self.page

    def send(self, action: str, **fields: str | list[str]) -> httpx.Response:
        """Send a form of the current page; fails if it has none with this action."""
        form = re.search(rf'<form method="post" action="{re.escape(action)}".*?</form>', self.page, re.DOTALL)
        assert form is not None, f"the page has no form for {action}"
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0]))
        answer = self.http.post(action, data={**hidden, **fields})
        self.page = answer.text
        return answer

    def sign_in(self, login: str = "maintainer") -> None:
        self.get("/login")
        assert self.send("/login", login=login).status_code == 200


@pytest.fixture
def browser(stage: Stage) -> Iterator[Browser]:
    made = Browser(stage.served.url)
    with made.http:
        yield made


def test_a_person_goes_the_whole_way_in_the_browser(stage: Stage, browser: Browser) -> None:
    browser.sign_in()
    assert "maintainer/demo" in browser.page
    browser.get(f"{DEMO}/issues/new")
    browser.send(f"{DEMO}/issues/new", title="Sort the output", body="It should be *sorted*.\n\n- [ ] tests")
    number = int(re.search(r"#(\d+)", browser.page)[1])  # type: ignore[index]
    path = f"{DEMO}/issues/{number}"
    assert "<em>sorted</em>" in browser.page
    browser.send(f"{path}/labels", act="add", name="agent:plan")
    told = stage.receiver.wait(named("issues", "labeled"))
    assert json.loads(told.body)["label"]["name"] == "agent:plan"
    browser.send(f"{path}/labels", act="remove", name="agent:plan")
    browser.send(f"{path}/comments", body="/agent help\r\nplease", then="comment")
    browser.send(f"{path}/boxes", line="2")
    browser.send(f"{path}/reactions", content="eyes")
    assert "☑" in browser.page
    seen = stage.person.get(f"{REPO}/issues/{number}").json()
    assert (seen["body"], seen["labels"]) == ("It should be *sorted*.\n\n- [x] tests", [])
    assert seen["reactions"]["eyes"] == 1
    assert stage.person.get(f"{REPO}/issues/{number}/comments").json()[0]["body"] == "/agent help\nplease"
    browser.send(f"{path}/comments", body="", then="close")
    assert stage.person.get(f"{REPO}/issues/{number}").json()["state"] == "closed"
    assert "Sort the output" in browser.get(f"{DEMO}/issues?state=closed")


def test_a_pull_request_is_read_reviewed_and_merged_in_the_browser(stage: Stage, browser: Browser) -> None:
    stage.person.put("/_test/repos/maintainer/demo/ci", json={"command": "grep -q b new.txt"})
    stage.commit("feature", {"new.txt": "a\nb\n", "README.md": "# demo\nChanged\n"})
    stage.served.settle()
    new = {"title": "Add new.txt", "head": "feature", "base": "main", "body": "Part of #1"}
    number = stage.bot.post(f"{REPO}/pulls", json=new).raise_for_status().json()["number"]
    path = f"{DEMO}/pull/{number}"
    browser.sign_in()
    page = browser.get(path)
    for shown in ("Ready to merge", "tests", "Passed", "new.txt", "+b", "Add new.txt", "helper[bot]"):
        assert shown in page
    browser.send(f"{path}/reviews", event="REQUEST_CHANGES", body="Sort `new.txt`.")
    assert "requested changes" in browser.page
    stage.receiver.wait(named("pull_request_review", "submitted"))
    browser.send(f"{path}/merge", method="merge")
    assert "Merged" in browser.page
    assert stage.person.get(f"{REPO}/pulls/{number}").json()["merged"] is True
    assert "new.txt" in browser.get(f"{DEMO}/blob/main/new.txt")
    assert "Changed" in browser.get(f"{DEMO}/tree/feature")


def test_a_head_that_moved_since_the_page_was_read_is_not_merged(stage: Stage, browser: Browser) -> None:
    stage.commit("moving", {"moving.txt": "1\n"})
    new = {"title": "Moving", "head": "moving", "base": "main"}
    number = stage.person.post(f"{REPO}/pulls", json=new).raise_for_status().json()["number"]
    browser.sign_in()
    browser.get(f"{DEMO}/pull/{number}")
    stage.commit("moving", {"moving.txt": "2\n"})
    assert browser.send(f"{DEMO}/pull/{number}/merge", method="merge").status_code == 409
    assert stage.person.get(f"{REPO}/pulls/{number}").json()["merged"] is False


def test_who_is_not_signed_in_sees_nothing_private_and_is_led_to_sign_in(
    stage: Stage, browser: Browser
) -> None:
    assert "maintainer/demo" not in browser.get("/")
    assert browser.http.get(DEMO).status_code == 404
    assert "Sign in" in browser.get(f"{DEMO}/issues/new")
    answer = browser.send("/login", token=stage.served.token)
    assert "New issue" in answer.text
    browser.send("/logout")
    assert browser.http.get(DEMO).status_code == 404


def test_a_wrong_token_and_an_apps_token_sign_nobody_in(stage: Stage, browser: Browser) -> None:
    browser.get("/login")
    bot_token = stage.bot.headers["authorization"].removeprefix("Bearer ")
    for token in ("ghp_wrong", bot_token):
        browser.get("/login")
        assert browser.send("/login", token=token).status_code == 401


def test_a_form_of_another_site_changes_nothing(stage: Stage, browser: Browser) -> None:
    browser.sign_in()
    number = stage.issue("Untouched")["number"]
    action = f"{DEMO}/issues/{number}/comments"
    for csrf in ({}, {"csrf": ""}, {"csrf": "0" * 64}):
        assert browser.http.post(action, data={"body": "forged", "then": "close", **csrf}).status_code == 403
    seen = stage.person.get(f"{REPO}/issues/{number}").json()
    assert (seen["state"], seen["comments"]) == ("open", 0)
    host = browser.http.get("/", headers={"host": "evil.example"})
    assert host.status_code == 421


def test_sign_in_leads_only_to_this_forge(browser: Browser) -> None:
    browser.http.follow_redirects = False
    for target in ("https://evil.example/", "//evil.example/", "/\\evil.example"):
        browser.http.cookies.clear()
        browser.page = browser.http.get("/login", params={"next": target}).text
        assert browser.send("/login", login="maintainer").headers["location"] == "/"


def test_a_box_of_a_text_that_changed_meanwhile_is_not_ticked(stage: Stage, browser: Browser) -> None:
    number = stage.issue("Boxes", body="- [ ] one")["number"]
    browser.sign_in()
    browser.get(f"{DEMO}/issues/{number}")
    stage.person.patch(f"{REPO}/issues/{number}", json={"body": "- [ ] other"})
    assert browser.send(f"{DEMO}/issues/{number}/boxes", line="0").status_code == 409
    assert stage.person.get(f"{REPO}/issues/{number}").json()["body"] == "- [ ] other"


def test_a_reader_is_offered_neither_labels_nor_merge(stage: Stage, browser: Browser) -> None:
    stage.user("looker", "read").close()
    number = stage.issue("Look")["number"]
    browser.sign_in("looker")
    page = browser.get(f"{DEMO}/issues/{number}")
    assert f'action="{DEMO}/issues/{number}/labels"' not in page
    csrf = re.search(r'name="csrf" value="(\w+)"', page)
    assert csrf is not None
    forced = browser.http.post(
        f"{DEMO}/issues/{number}/labels", data={"csrf": csrf[1], "act": "add", "name": "bug"}
    )
    assert forced.status_code == 403


def test_an_app_is_made_from_a_manifest_and_installed(stage: Stage, browser: Browser) -> None:
    manifest = {
        "name": "From a page",
        "url": "http://127.0.0.1/",
        "hook_attributes": {"url": stage.receiver.url},
        "redirect_url": "http://127.0.0.1:9/setup/done?kept=1",
        "default_events": ["issues"],
        "default_permissions": {"issues": "write"},
    }
    browser.sign_in()
    sent = browser.http.post("/settings/apps/new?state=s1", data={"manifest": json.dumps(manifest)})
    browser.page = sent.text
    assert "issues: write" in browser.page
    browser.http.follow_redirects = False
    fields = {"manifest": json.dumps(manifest), "name": "Page-made", "state": "s1"}
    location = urlsplit(browser.send("/settings/apps/confirm", **fields).headers["location"])
    query = parse_qs(location.query)
    assert (location.netloc, query["state"], query["kept"]) == ("127.0.0.1:9", ["s1"], ["1"])
    with stage.served.client("") as nobody:
        made = nobody.post(f"/app-manifests/{query['code'][0]}/conversions")
    assert made.status_code == 201
    assert made.json()["slug"] == "page-made"
    browser.get("/apps/page-made/installations/new")
    repo_id = str(stage.repo["id"])
    assert browser.send("/apps/page-made/installations/new", selection="selected").status_code == 422
    browser.get("/apps/page-made/installations/new")
    browser.send("/apps/page-made/installations/new", selection="selected", repositories=[repo_id])
    told = stage.receiver.wait(
        lambda each: each.event == "installation" and b'"app_slug":"page-made"' in each.body
    )
    assert json.loads(told.body)["repositories"][0]["full_name"] == "maintainer/demo"


def test_pages_say_that_they_are_no_github_and_forbid_scripts(browser: Browser) -> None:
    answer = browser.http.get("/")
    assert "It is not GitHub" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert browser.http.get("/-/style.css").headers["content-type"].startswith("text/css")
    assert browser.http.get("/nobody/nothing").status_code == 404


class _Seen(HTMLParser):
    """Collects the tags and attributes of rendered Markdown."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](data:text/html,<script>alert(1)</script>)",
    "<details open onclick=alert(1)>",
    "<b onmouseover=alert(1)>x</b>",
    '<a href="javascript:alert(1)">x</a>',
    "<style>body{display:none}</style>",
    "<form action=/logout><button>x</button></form>",
    "<!-- <script>alert(1)</script> -->",
    "`<script>`",
    "- [ ] <svg/onload=alert(1)>",
    '[x](<" onclick="alert(1)>)',
]
TAGS = (
    "p a code pre em strong ul ol li h1 h2 h3 h4 h5 h6 blockquote hr br table thead tbody tr th td s img del ins"
    " details summary sub sup kbd b i button"
)
ALLOWED = frozenset(TAGS.split())


@given(st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20)), max_size=4).map("\n".join))
def test_markdown_never_becomes_anything_that_acts(text: str) -> None:
    seen = _Seen()
    seen.feed(markdown.render(text, may_tick=True))
    assert seen.tags <= ALLOWED
    for name, value in seen.attributes:
        assert not name.startswith("on")
        assert name != "style" or re.fullmatch(r"text-align:(left|right|center)", value or "")
        assert not (value or "").lower().lstrip().startswith(("javascript:", "vbscript:"))


def test_hidden_comments_are_hidden_and_details_and_tables_are_shown() -> None:
    text = "<!-- gitwright:status track=issue-1 -->\n\nText <!-- inline --> end\n\n| a |\n|---|\n| b |\n\n<details><summary>More</summary>\n\n*in*\n\n</details>\n"
    html = str(markdown.render(text))
    assert "gitwright" not in html
    assert "inline" not in html
    assert "<details><summary>More</summary>" in html
    assert "<td>b</td>" in html
    assert "&lt;!-- code --&gt;" in markdown.render("`<!-- code -->`")


@given(
    st.lists(
        st.sampled_from(["- [ ] a", "- [x] b", "1. [X] c", "text", "> - [ ] q", "```", "", "  - [ ] sub"]),
        max_size=12,
    )
)
def test_ticking_flips_exactly_the_box_that_was_shown_and_twice_is_never(lines: list[str]) -> None:
    text = "\n".join(lines)
    for line in map(int, re.findall(r'name="line" value="(\d+)"', markdown.render(text, may_tick=True))):
        flipped = markdown.toggle(text, line)
        changed = [
            n for n, (one, two) in enumerate(zip(lines, flipped.split("\n"), strict=True)) if one != two
        ]
        assert changed == [line]
        assert markdown.toggle(flipped, line) == text.replace("[X]", "[x]") or "[X]" in text


def test_a_diff_is_numbered_on_both_sides() -> None:
    patch = "@@ -1,3 +1,3 @@ def f():\n a\n-b\n+c\n d\n\\ No newline at end of file"
    shown = [(each["kind"], each["old"], each["new"]) for each in diff_lines(patch)]
    assert shown == [
        ("hunk", "", ""),
        ("", 1, 1),
        ("del", 2, ""),
        ("add", "", 2),
        ("", 3, 3),
        ("", "", ""),
    ]


def test_numbers_of_issues_are_links_in_text_and_nowhere_else() -> None:
    html = str(markdown.render("See #12, a#3, `#4`, [#5](http://127.0.0.1/) and &#39;.", base="/o/r"))
    assert re.findall(r'href="([^"]*)"', html) == ["/o/r/issues/12", "http://127.0.0.1/"]


def test_the_buttons_of_checks_are_pressed_in_the_browser(stage: Stage, browser: Browser) -> None:
    sha = stage.commit("buttons", {"buttons.txt": "1\n"})
    new = {"title": "Buttons", "head": "buttons", "base": "main"}
    number = stage.person.post(f"{REPO}/pulls", json=new).raise_for_status().json()["number"]
    action = {"label": "Fix this", "description": "Let the bot fix it", "identifier": "fix"}
    check = {"name": "style", "head_sha": sha, "conclusion": "failure", "actions": [action]}
    run = stage.bot.post(f"{REPO}/check-runs", json=check).raise_for_status().json()["id"]
    browser.sign_in()
    browser.get(f"{DEMO}/pull/{number}")
    browser.send(f"{DEMO}/checks/{run}", identifier="fix")
    told = json.loads(stage.receiver.wait(named("check_run", "requested_action")).body)
    assert (told["requested_action"], told["check_run"]["id"]) == ({"identifier": "fix"}, run)
    browser.send(f"{DEMO}/checks/{run}", identifier="")
    stage.receiver.wait(named("check_run", "rerequested"))
    assert browser.send(f"{DEMO}/checks/{run}", identifier="other").status_code == 422


def test_a_forge_that_others_reach_asks_for_a_token(tmp_path: Path) -> None:
    # Served under an address that is not this machine's own: nobody listens there, the application is asked directly.
    app = create_app(tmp_path / "forge", "http://forge.example")
    with TestClient(app, base_url="http://forge.example") as client:
        page = client.get("/login").text
        assert "As one of the forge" not in page
        csrf = re.search(r'name="csrf" value="(\w+)"', page)
        assert csrf is not None
        assert client.post("/login", data={"csrf": csrf[1], "login": "maintainer"}).status_code == 401
        signed = client.post("/login", data={"csrf": csrf[1], "token": app.state.token})
        assert "Sign out" in signed.text
