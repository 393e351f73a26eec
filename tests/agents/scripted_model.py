"""A model that says what a script says, over HTTP on loopback, in four providers' formats: what real agents talk to.

The script: {"title", "default", "usd", "scenarios": [{"when", "plain", "steps": [...]}]}. A scenario is chosen by the newest
user text that contains its `when`; its step by how often tools were called since. A step is one of
  {"calls": [{"read": {...}, "read_file": {...}}]}   the first name that the agent offers is called
  {"text": "Done.", "usage": [120, 15], "delay": 0.1} words, and seconds between them (or before all at once)
  {"text": "...", "delay": 0.1, "until": "Stop"}     words in haste, once the scenario of that `when` was begun
  {"status": 429, "retry_after": 1, "times": 2}      fails so often, then goes on
With `usd` every answer says, in OpenAI's chat format, that it cost so many dollars. With "unoffered" a step calls its tools
though nobody offers them; arguments that are a text are no JSON.
A request that offers no tools gets `title`, unless its scenario is "plain". `{cwd}` in arguments becomes `cwd`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.agents.wire_formats import Format, JsonDict, format_of, used

_ERRORS = {
    400: ("invalid_request_error", "INVALID_ARGUMENT", "bad request"),
    401: ("authentication_error", "UNAUTHENTICATED", "invalid api key"),
    429: ("rate_limit_error", "RESOURCE_EXHAUSTED", "rate limit reached"),
}


class ScriptedModel:
    """The script's state: `requests` and `keys` are what was asked, `usage` what was answered for."""

    def __init__(self, script: JsonDict, cwd: str) -> None:
        self.url = ""
        self.requests: list[JsonDict] = []
        self.keys: list[str] = []
        self.usage = [0, 0]
        self.usd = 0.0
        self.hung_up = 0
        self.begun: set[str] = set()  # scenarios, by `when`
        self.slow = 0  # answers begun whose words take their time
        self._script = script
        self.cwd = cwd
        self._lock = threading.Lock()
        self._failed: dict[tuple[str, int], int] = {}

    def add(self, scenario: JsonDict) -> None:
        """Have one more thing to say."""
        with self._lock:
            self._script["scenarios"].append(scenario)

    def decide(self, form: Format, body: JsonDict) -> JsonDict:
        """Give the step for a request."""
        with self._lock:
            self.requests.append(body)
            cost = {"usd": self._script["usd"]} if "usd" in self._script else {}
            return {**cost, **self._step(form, body)}

    @contextmanager
    def counted(self, step: JsonDict) -> Iterator[None]:
        """Count an answer whose end is sent now: whoever hears the end may look at once. Taken back where nobody hears it."""
        self._count(step, 1)
        try:
            yield
        except OSError:
            self._count(step, -1)
            raise

    def _count(self, step: JsonDict, times: int) -> None:
        with self._lock:
            self.usage = [have + times * more for have, more in zip(self.usage, used(step), strict=True)]
            self.usd += times * step.get("usd", 0.0)

    def _step(self, form: Format, body: JsonDict) -> JsonDict:
        offered = form.offered(body)
        scenario, calls = self._scenario(form, body)
        if not offered and not (scenario or {}).get("plain"):
            return {"text": self._script.get("title", "A title")}
        if scenario is None:
            return {"text": self._script.get("default", "Nothing to do.")}
        self.begun.add(scenario["when"])
        step = self._next(scenario, calls)
        if "calls" not in step:
            return step
        chosen = []
        for alternatives in step["calls"]:
            name = next((each for each in alternatives if each in offered or step.get("unoffered")), None)
            if name is None:
                return {"text": f"(none of {list(alternatives)} is offered: {offered})"}
            chosen.append((name, self._filled(alternatives[name])))
        return {**step, "chosen": chosen}

    def _scenario(self, form: Format, body: JsonDict) -> tuple[JsonDict | None, int]:
        calls = 0
        for kind, text in reversed(form.heard(body)):
            calls += kind == "call"
            if kind == "user":
                hits = [each for each in self._script["scenarios"] if each["when"] in text]
                if hits:
                    return max(hits, key=lambda each: text.rfind(each["when"])), calls
        return None, 0

    def _next(self, scenario: JsonDict, calls: int) -> JsonDict:
        """Skip failing steps that failed often enough: they do not advance a conversation."""
        place = 0
        for number, step in enumerate(scenario["steps"]):
            if "status" in step:
                key = (scenario["when"], number)
                if place == calls and self._failed.get(key, 0) < step.get("times", 1):
                    self._failed[key] = self._failed.get(key, 0) + 1
                    return dict(step)
                continue
            if place == calls:
                return dict(step)
            place += 1
        return dict(scenario["steps"][-1])

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{cwd}", self.cwd)
        if isinstance(value, dict):
            return {key: self._filled(each) for key, each in value.items()}
        return [self._filled(each) for each in value] if isinstance(value, list) else value


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: ScriptedModel

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._json({})

    def do_GET(self) -> None:
        self._json({"object": "list", "data": [], "models": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
        path = self.path.partition("?")[0]
        if path.endswith("/count_tokens"):
            self._json({"input_tokens": 7})
            return
        form = format_of(path)
        if form is None:
            self._json({"error": {"message": f"no such path {self.path}"}}, 404)
            return
        self.model.keys.append((self.headers.get(form.key) or "").removeprefix("Bearer "))
        step = self.model.decide(form, body)
        if "status" in step:
            self._fail(step)
        elif form.streams(self.path, body):
            self._stream(form, body, step)
        else:
            time.sleep(step.get("delay", 0))
            with self.model.counted(step):
                self._json(form.whole(body, step))

    def _fail(self, step: JsonDict) -> None:
        kind, name, text = _ERRORS.get(step["status"], ("server_error", "UNAVAILABLE", "server error"))
        error = {"message": f"scripted: {text}", "type": kind, "code": step["status"], "status": name}
        after = step.get("retry_after")
        headers = {"retry-after": str(after)} if after is not None else {}
        self._json({"type": "error", "error": error}, step["status"], headers)

    def _stream(self, form: Format, body: JsonDict, step: JsonDict) -> None:
        self.send_response(200)
        self.model.slow += "delay" in step
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for name, event in form.events(body, step):
                text = event if isinstance(event, str) else json.dumps(event)
                data = f"{f'event: {name}{chr(10)}' if name else ''}data: {text}\n\n".encode()
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                time.sleep(0 if step.get("until") in self.model.begun else step.get("delay", 0))
            with self.model.counted(step):
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.model.hung_up += 1
            self.close_connection = True

    def _json(self, value: JsonDict, status: int = 200, headers: dict[str, str] | None = None) -> None:
        raw = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)


class _Server(ThreadingHTTPServer):
    request_queue_size = 100  # of more than that at once, some would come a second later
    daemon_threads = True
    block_on_close = False


@contextmanager
def serving(script: JsonDict, cwd: str = ".") -> Iterator[ScriptedModel]:
    """Lend a model that listens on loopback."""
    model = ScriptedModel(script, cwd)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"model": model}))
    model.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
