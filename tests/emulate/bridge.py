"""What the emulator lacks: git over HTTP. A bare repository stands in; pushes are copied over by the API, merges back.

The copy is honest: each object is made anew on the other side, which must come to the same id, and a push is copied
with the token that pushed, so that what the token may not do is refused.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx

JsonDict = dict[str, Any]

_GIT_S = 60
_PERSON = re.compile(r"(?P<name>.*) <(?P<email>[^>]*)> (?P<time>[0-9]+) (?P<zone>[+-][0-9]{4})")


class Bridge:
    """One bare repository in `root` and its counterpart `slug` on the emulator."""

    def __init__(self, root: Path, slug: str, emulator: str) -> None:
        self._root = root
        self._slug = slug
        self._emulator = emulator
        self._there: set[str] = set()  # ids that the emulator has
        self._git_dir = root / f"{slug}.git"
        self._git_dir.mkdir(parents=True)
        self.git("init", "-q", "--bare", "-b", "main")

    def git(self, *args: str, feed: str = "") -> bytes:
        """Run git on the bare repository."""
        command = ["git", "--git-dir", str(self._git_dir), *args]
        return subprocess.run(
            command, env=_environment(), input=feed.encode(), capture_output=True, timeout=_GIT_S, check=True
        ).stdout

    def serve(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> bytes:
        """Answer a git client as `git http-backend` does: CGI headers, an empty line, the content."""
        env = _environment() | {
            "GIT_PROJECT_ROOT": str(self._root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": method,
            "REMOTE_USER": "bot",
            "CONTENT_TYPE": headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
            "GIT_PROTOCOL": headers.get("git-protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], env=env, input=body, capture_output=True, timeout=_GIT_S, check=True
        )
        return done.stdout

    def copy(self, token: str) -> None:
        """Bring the emulator's branches to where the bare repository's are."""
        api = httpx.Client(base_url=self._emulator, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        with api:
            for line in self.git(
                "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads"
            ).splitlines():
                ref, sha = line.decode().split()
                found = api.get(f"/repos/{self._slug}/git/ref/{ref.removeprefix('refs/')}")
                if found.status_code == 200 and found.json()["object"]["sha"] == sha:
                    continue
                for commit in self.git("rev-list", "--reverse", "--topo-order", sha).decode().split():
                    self._commit(api, commit)
                if found.status_code == 200:
                    wanted = {"sha": sha, "force": True}
                    self._ok(
                        api.patch(f"/repos/{self._slug}/git/refs/{ref.removeprefix('refs/')}", json=wanted)
                    )
                else:
                    self._ok(api.post(f"/repos/{self._slug}/git/refs", json={"ref": ref, "sha": sha}))

    def copy_back(self, token: str, branch: str) -> str:
        """Bring the bare repository's branch to the commit that the emulator made of commits it was given; its id."""
        api = httpx.Client(base_url=self._emulator, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        with api:
            sha: str = self._ok(api.get(f"/repos/{self._slug}/git/ref/heads/{branch}"))["object"]["sha"]
            told = self._ok(api.get(f"/repos/{self._slug}/git/commits/{sha}"))
        lines = [f"tree {told['tree']['sha']}", *(f"parent {each['sha']}" for each in told["parents"])]
        lines += [f"{role} {_line(told[role])}" for role in ("author", "committer")]
        made = self.git(
            "hash-object", "-t", "commit", "-w", "--stdin", feed="\n".join([*lines, "", told["message"], ""])
        )
        assert made.decode().strip() == sha, f"the emulator's {sha} is {made.decode().strip()} for git"
        self.git("update-ref", f"refs/heads/{branch}", sha)
        self._there.add(sha)
        return sha

    def _commit(self, api: httpx.Client, sha: str) -> None:
        if sha in self._there:
            return
        head, _, message = self.git("cat-file", "commit", sha).decode().partition("\n\n")
        fields = [line.partition(" ")[::2] for line in head.splitlines()]
        tree = next(value for name, value in fields if name == "tree")
        self._tree(api, tree)
        made: JsonDict = {
            "message": message,
            "tree": tree,
            "parents": [value for name, value in fields if name == "parent"],
            **{name: _person(value) for name, value in fields if name in ("author", "committer")},
        }
        self._make(api, "commits", sha, made)

    def _tree(self, api: httpx.Client, sha: str) -> None:
        if sha in self._there:
            return
        entries = []
        for line in self.git("ls-tree", "-z", sha).decode().split("\0")[:-1]:
            facts, _, path = line.partition("\t")
            mode, kind, child = facts.split()
            if kind == "tree":
                self._tree(api, child)
            elif child not in self._there:
                content = base64.b64encode(self.git("cat-file", "blob", child)).decode()
                self._make(api, "blobs", child, {"content": content, "encoding": "base64"})
            entries.append({"path": path, "mode": mode, "type": kind, "sha": child})
        self._make(api, "trees", sha, {"tree": entries})

    def _make(self, api: httpx.Client, kind: str, sha: str, wanted: JsonDict) -> None:
        made = self._ok(api.post(f"/repos/{self._slug}/git/{kind}", json=wanted))
        assert made["sha"] == sha, f"the emulator makes {made['sha']} of {kind} {sha}"
        self._there.add(sha)

    def _ok(self, answer: httpx.Response) -> JsonDict:
        assert answer.is_success, (
            f"{answer.request.method} {answer.url} -> {answer.status_code}: {answer.text}"
        )
        data: JsonDict = answer.json()
        return data


def _person(text: str) -> JsonDict:
    found = _PERSON.fullmatch(text)
    assert found is not None, text
    hours, minutes = int(found["zone"][:3]), int(found["zone"][0] + found["zone"][3:])
    zone = timezone(timedelta(hours=hours, minutes=minutes))
    when = datetime.fromtimestamp(int(found["time"]), UTC).astimezone(zone)
    return {"name": found["name"], "email": found["email"], "date": when.isoformat()}


def _line(person: JsonDict) -> str:
    """Word a person of the API as a commit does; the emulator keeps the offset of what it was given."""
    when = datetime.fromisoformat(person["date"])
    return f"{person['name']} <{person['email']}> {int(when.timestamp())} {when.strftime('%z')}"


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
