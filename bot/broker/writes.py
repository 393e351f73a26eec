"""Owns what may be changed over the API: the writes that the bot makes, one table with the reason of each, and no other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import httpx

from bot.broker.branches import is_our_ref, is_ours

_MOST = 1 << 20  # bytes of a body that is looked into; a text of the forge's longest has a sixth of that
_READS = frozenset({"GET", "HEAD"})
_PARTS = {"number": "[0-9]+", "sha": "[0-9a-f]{40,64}", "name": "[^/]+", "path": ".+", "branch": ".+"}
_NOTHING = re.compile("0*")
_JsonDict = dict[str, Any]
_Judge = Callable[[_JsonDict, Mapping[str, str]], str]  # the body and the path's parts -> why not


@dataclass(frozen=True, slots=True)
class Write:
    """A kind of request: its method, its path below `/repos/OWNER/NAME`, what it is for, and who judges what it says."""

    method: str
    path: str
    why: str
    judge: _Judge | None = None

    def parts(self, method: str, path: str) -> Mapping[str, str] | None:
        """Give the parts of a path by their names; None where this is another kind."""
        pattern = re.sub(
            r"\\\{(\w+)\\\}", lambda part: f"(?P<{part[1]}>{_PARTS[part[1]]})", re.escape(self.path)
        )
        found = re.fullmatch(f"/repos/[^/]+/[^/]+{pattern}", path) if method == self.method else None
        return found.groupdict() if found else None


def _only(*keys: str) -> _Judge:
    def judge(body: _JsonDict, _: Mapping[str, str]) -> str:
        others = sorted(body.keys() - set(keys))
        return f"only {', '.join(keys)} may be changed so, and not {', '.join(others)}" if others else ""

    return judge


def _new_ref(body: _JsonDict, _: Mapping[str, str]) -> str:
    return "" if is_our_ref(body.get("ref")) else "only a track's own branches are made"


def _moved_ref(_: _JsonDict, parts: Mapping[str, str]) -> str:
    return "" if is_ours(parts["branch"]) else "only a track's own branches are moved"


def _new_file(body: _JsonDict, _: Mapping[str, str]) -> str:
    branch = body.get("branch")
    if not isinstance(branch, str) or not is_ours(branch):
        return "files are written to the bot's own branches only"
    return "a file that is there stays" if "sha" in body else ""


WRITES = (
    Write("POST", "/issues/{number}/comments", "plans, statuses and answers"),
    Write("PATCH", "/issues/comments/{number}", "the status as it is now"),
    Write("POST", "/issues/{number}/reactions", "that a command was heard"),
    Write("POST", "/issues/comments/{number}/reactions", "that a command was heard"),
    Write("POST", "/pulls/comments/{number}/reactions", "that a command was heard"),
    Write("POST", "/labels", "the labels that show how a track stands"),
    Write("POST", "/issues/{number}/labels", "how a track stands"),
    Write("DELETE", "/issues/{number}/labels/{name}", "how a track stood"),
    Write("POST", "/issues", "telling the owner what is wrong with the settings"),
    Write(
        "PATCH",
        "/issues/{number}",
        "closing a finished issue, and writing the bot's own anew",
        _only("state", "state_reason", "body"),
    ),
    Write("POST", "/pulls", "showing work"),
    Write(
        "PATCH", "/pulls/{number}", "writing its text anew, closing and opening it", _only("body", "state")
    ),
    Write("POST", "/check-runs", "the bot's own checks"),
    Write("PATCH", "/check-runs/{number}", "the bot's own checks"),
    Write("POST", "/statuses/{sha}", "the bot's own checks where it may make none"),
    # Commits that the forge signs. What is stored so belongs to nothing until a ref leads to it.
    Write("POST", "/git/blobs", "a commit that the forge signs"),
    Write("POST", "/git/trees", "a commit that the forge signs"),
    Write("POST", "/git/commits", "a commit that the forge signs"),
    Write("POST", "/git/refs", "a track's branch, where its commit was made over the API", _new_ref),
    Write("PATCH", "/git/refs/heads/{branch}", "the same, moved", _moved_ref),
    Write("PUT", "/contents/{path}", "the offer of a settings file", _new_file),
)


def _moves(wish: _JsonDict) -> str:
    updates = wish.get("refUpdates")
    if not isinstance(updates, list) or not all(isinstance(each, dict) for each in updates):
        return "it does not say which branches move"
    if not all(is_our_ref(each.get("name")) for each in updates):
        return "only a track's own branches are moved"
    gone = [each for each in updates if _NOTHING.fullmatch(str(each.get("afterOid") or ""))]
    return "no branch is deleted" if gone else ""


def _freely(_: _JsonDict) -> str:
    return ""


MUTATIONS: Mapping[str, Callable[[_JsonDict], str]] = {
    "minimizeComment": _freely,  # an outdated status
    "createLabel": _freely,  # these as over REST, several in one call
    "addLabelsToLabelable": _freely,
    "removeLabelsFromLabelable": _freely,
    "updateIssueComment": _freely,
    "updateRefs": _moves,  # a track's branch, and only from where it is expected
}
_STRING = re.compile(r'"(?:[^"\\\r\n]|\\[^\r\n])*"')
_CHANGES = re.compile(r"\b(mutation|subscription)\b")
# The one form that our own documents have: a reader of all of GraphQL could differ from the forge's.
_MUTATION = re.compile(r"mutation\([A-Za-z0-9_ ,:$!]*\) \{(?P<acts>[A-Za-z0-9_ ,:$!(){}]*)\}")
_WANTED = r"\{[A-Za-z0-9_ ]*(?:\{[A-Za-z0-9_ ]*\}[A-Za-z0-9_ ]*)?\}"
_ACT = re.compile(rf" (?:[A-Za-z0-9_]+: )?(?P<name>[A-Za-z]+)\(input: \$(?P<wish>[A-Za-z0-9_]+)\) {_WANTED}")


_FOREIGN = "it is written as none of the bot's documents are"


async def refusal(request: httpx.Request, path: str, *, graphql: bool) -> str:
    """Say why a request may not be sent with a token, at this path below the API's; empty where it may.

    `graphql` says that this is spoken there. A body that had to be read is the request's again afterwards.
    """
    if graphql:
        return _document(await _read(request)) if request.method == "POST" else "GraphQL is asked by POST"
    if request.method in _READS:
        return ""
    if why := _ambiguous(request, path):
        return why
    for write in WRITES:
        if (parts := write.parts(request.method, path)) is not None:
            return "" if write.judge is None else _said(write.judge, await _read(request), parts)
    return "the bot makes no such request"


def _ambiguous(request: httpx.Request, path: str) -> str:
    """Say why a write may be another one to the forge than it is to us; empty where it cannot."""
    if request.url.query:
        return "a write has no query"
    if any(name.startswith(("x-http-method", "x-method")) for name in request.headers):
        return "a write is what its method says"
    if not request.headers.get("content-type", "application/json").startswith("application/json"):
        return "a write speaks JSON"
    plain = unquote(path)
    dots = "/../" in f"{plain}/" or "/./" in f"{plain}/"
    return "its path may be read in two ways" if dots or "//" in plain or "\\" in plain else ""


def _said(judge: _Judge, body: _JsonDict | None, parts: Mapping[str, str]) -> str:
    return "what it says cannot be read" if body is None else judge(body, parts)


def _document(body: _JsonDict | None) -> str:
    """Say why a GraphQL document may not be asked: a query may, a change only in our own form and words."""
    document = body.get("query") if body is not None and not body.keys() - {"query", "variables"} else None
    if body is None or not isinstance(document, str):
        return "what it says cannot be read"
    bare = _STRING.sub(" ", document)
    if '"""' in document or '"' in bare or "#" in bare:
        return _FOREIGN
    return _changes(document, body.get("variables")) if _CHANGES.search(bare) else ""


def _changes(document: str, variables: object) -> str:
    found = _MUTATION.fullmatch(document)
    acts = [] if found is None else list(_ACT.finditer(found["acts"]))
    if found is None or not acts or "".join(act[0] for act in acts) + " " != found["acts"]:
        return _FOREIGN
    for act in acts:
        name, wish = act["name"], variables.get(act["wish"]) if isinstance(variables, dict) else None
        if name not in MUTATIONS or not isinstance(wish, dict):
            return f"the bot makes no such change: {name}"
        if refused := MUTATIONS[name](wish):
            return refused
    return ""


async def _read(request: httpx.Request) -> _JsonDict | None:
    """Read a body that is one JSON object, with no name twice, which readers understand differently; None for another."""
    seen = b""
    assert isinstance(request.stream, httpx.AsyncByteStream)
    async for chunk in request.stream:
        seen += chunk
        if len(seen) > _MOST:
            return None
    request.stream = httpx.ByteStream(seen)
    try:
        found = json.loads(seen.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> _JsonDict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found
