"""Owns what one person does on the forge, over its HTTP API only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from bot.errors import ForgeError

JsonDict = dict[str, Any]

_TIMEOUT = 30.0


def _said(answer: httpx.Response) -> str:
    """Give the reason of a refusal as the forge words it."""
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]


@dataclass(frozen=True, slots=True)
class App:
    """What creating an App gives, once."""

    id: int
    slug: str
    private_key: str
    webhook_secret: str


class Hub:
    """The forge as one person sees it; `repo` is `owner/name`."""

    def __init__(self, url: str, token: str, repo: str = "") -> None:
        self.url = url.rstrip("/")
        self.token = token
        self.repo = repo
        self._http = httpx.Client(
            base_url=self.url,
            timeout=_TIMEOUT,
            trust_env=False,
            transport=httpx.HTTPTransport(retries=2),  # of connecting only
            headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"},
        )

    def close(self) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        body: JsonDict | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> Any:
        """Make one call; ForgeError carries status and message."""
        try:
            answer = self._http.request(method, path, json=body, params=query)
        except httpx.TransportError as error:
            raise ForgeError(f"{method} {path}: the forge does not answer ({error})") from error
        if answer.is_error:
            raise ForgeError(f"{method} {path}: {answer.status_code} {_said(answer)}", answer.status_code)
        return answer.json() if answer.content else None

    # --- setting up

    def add_user(self, login: str) -> str:
        """Create a person and give their token."""
        return str(self.call("POST", "/_test/users", {"login": login})["token"])

    def invite(self, login: str, role: str) -> None:
        self.call("PUT", f"/_test/repos/{self.repo}/collaborators/{login}", {"role": role})

    def create_repo(self, name: str) -> str:
        """Create a private repository and give its full name."""
        made = self.call("POST", "/user/repos", {"name": name, "private": True})
        return str(made["full_name"])

    def set_ci(self, command: str | None) -> None:
        self.call("PUT", f"/_test/repos/{self.repo}/ci", {"command": command})

    def create_app(self, manifest: JsonDict) -> App:
        """Create an App from its manifest, as the set-up page does."""
        code = self.call("POST", "/_test/app-manifests", {"manifest": manifest})["code"]
        made = self.call("POST", f"/app-manifests/{code}/conversions")
        return App(int(made["id"]), made["slug"], made["pem"], made["webhook_secret"])

    def install(self, app: App) -> None:
        self.call("POST", f"/_test/apps/{app.slug}/installations", {"repositories": [self.repo]})

    def idle(self) -> bool:
        """Whether the forge has neither a delivery nor a CI run left to do."""
        return bool(self.call("GET", "/_test/idle")["idle"])

    # --- living with it

    def open_issue(self, title: str, body: str) -> int:
        return int(self.call("POST", f"/repos/{self.repo}/issues", {"title": title, "body": body})["number"])

    def label(self, number: int, name: str) -> None:
        self.call("POST", f"/repos/{self.repo}/issues/{number}/labels", {"labels": [name]})

    def issue(self, number: int) -> JsonDict:
        found: JsonDict = self.call("GET", f"/repos/{self.repo}/issues/{number}")
        return found

    def comment(self, number: int, body: str) -> None:
        self.call("POST", f"/repos/{self.repo}/issues/{number}/comments", {"body": body})

    def comments(self, number: int) -> list[JsonDict]:
        return self._pages(f"/repos/{self.repo}/issues/{number}/comments")

    def pulls(self) -> list[JsonDict]:
        """Every pull request, oldest first."""
        return self._pages(f"/repos/{self.repo}/pulls", state="all", sort="created", direction="asc")

    def pull(self, number: int) -> JsonDict:
        found: JsonDict = self.call("GET", f"/repos/{self.repo}/pulls/{number}")
        return found

    def commit(self, sha: str) -> JsonDict:
        found: JsonDict = self.call("GET", f"/repos/{self.repo}/commits/{sha}")
        return found

    def check_runs(self, sha: str) -> list[JsonDict]:
        path = f"/repos/{self.repo}/commits/{sha}/check-runs"
        found: list[JsonDict] = self.call("GET", path, query={"per_page": 100})["check_runs"]
        return found

    def merge(self, number: int, sha: str) -> None:
        """Merge a pull request as it was seen, with a merge commit; the branch is kept."""
        self.call("PUT", f"/repos/{self.repo}/pulls/{number}/merge", {"merge_method": "merge", "sha": sha})

    def _pages(self, path: str, **query: str) -> list[JsonDict]:
        found: list[JsonDict] = []
        page: list[JsonDict] | None = None
        while page is None or len(page) == 100:
            place: dict[str, str | int] = {"per_page": 100, "page": len(found) // 100 + 1}
            page = self.call("GET", path, query={**query, **place})
            found += page
        return found
