"""A model that says what a script says, over HTTP on loopback, in OpenAI's chat format: what real agents talk to.

The script: {"title", "default", "scenarios": [{"when", "plain", "steps": [...]}]}. A scenario is chosen by the newest
user text that contains its `when`; its step by how often tools were called since. A step is one of
  {"calls": [{"read": {...}, "read_file": {...}}]}   the first name that the agent offers is called
  {"text": "Done.", "usage": [120, 15], "delay": 0.1} words, and seconds between them (or before all at once)
  {"status": 429, "retry_after": 1, "times": 2}      fails so often, then goes on
A request that offers no tools gets `title`, unless its scenario is "plain". `{cwd}` in arguments becomes `cwd`.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JsonDict = dict[str, Any]
_ERRORS = {
    400: ("invalid_request_error", "bad request"),
    401: ("authentication_error", "invalid api key"),
    429: ("rate_limit_error", "rate limit reached"),
}


class ScriptedModel:
    """The script's state: `requests` and `keys` are what was asked, `usage` what was answered for."""

    def __init__(self, script: JsonDict, cwd: str) -> None:
        self.url = ""
        self.requests: list[JsonDict] = []
        self.keys: list[str] = []
        self.usage = [0, 0]
        self.hung_up = 0
        self._script = script
        self._cwd = cwd
        self._lock = threading.Lock()
        self._failed: dict[tuple[str, int], int] = {}

    def add(self, scenario: JsonDict) -> None:
        """Have one more thing to say."""
        with self._lock:
            self._script["scenarios"].append(scenario)

    def decide(self, body: JsonDict) -> JsonDict:
        """Give the step for a request."""
        with self._lock:
            self.requests.append(body)
            return self._step(body)

    def count(self, usage: list[int]) -> None:
        with self._lock:
            self.usage = [have + more for have, more in zip(self.usage, usage, strict=True)]

    def _step(self, body: JsonDict) -> JsonDict:
        offered = [tool["function"]["name"] for tool in body.get("tools") or []]
        scenario, calls = self._scenario(body.get("messages") or [])
        if not offered and not (scenario or {}).get("plain"):
            return {"text": self._script.get("title", "A title")}
        if scenario is None:
            return {"text": self._script.get("default", "Nothing to do.")}
        step = self._next(scenario, calls)
        if "calls" not in step:
            return step
        chosen = []
        for alternatives in step["calls"]:
            name = next((each for each in alternatives if each in offered), None)
            if name is None:
                return {"text": f"(none of {list(alternatives)} is offered: {offered})"}
            chosen.append((name, self._filled(alternatives[name])))
        return {**step, "chosen": chosen}

    def _scenario(self, messages: list[JsonDict]) -> tuple[JsonDict | None, int]:
        calls = 0
        for message in reversed(messages):
            calls += bool(message.get("tool_calls"))
            if message["role"] == "user":
                said = _text(message.get("content"))
                hits = [each for each in self._script["scenarios"] if each["when"] in said]
                if hits:
                    return max(hits, key=lambda each: said.rfind(each["when"])), calls
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
            return value.replace("{cwd}", self._cwd)
        if isinstance(value, dict):
            return {key: self._filled(each) for key, each in value.items()}
        return [self._filled(each) for each in value] if isinstance(value, list) else value


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: ScriptedModel

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
        self.model.keys.append((self.headers.get("authorization") or "").removeprefix("Bearer "))
        if self.path.endswith("/count_tokens"):
            self._json({"input_tokens": 7})
            return
        if not self.path.endswith("/chat/completions"):
            self._json({"error": {"message": f"no such path {self.path}"}}, 404)
            return
        step = self.model.decide(body)
        if "status" in step:
            self._fail(step)
            return
        (self._stream if body.get("stream") else self._whole)(body, step)

    def _fail(self, step: JsonDict) -> None:
        kind, text = _ERRORS.get(step["status"], ("server_error", "server error"))
        error = {"message": f"scripted: {text}", "type": kind, "code": step["status"]}
        after = step.get("retry_after")
        self._json({"error": error}, step["status"], {"retry-after": str(after)} if after is not None else {})

    def _base(self, body: JsonDict, kind: str) -> JsonDict:
        return {
            "id": f"chat-{uuid.uuid4().hex[:8]}",
            "created": 1,
            "model": body.get("model"),
            "object": kind,
        }

    def _calls(self, step: JsonDict) -> list[JsonDict]:
        return [
            {
                "id": f"call_{uuid.uuid4().hex[:12]}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for name, arguments in step.get("chosen", [])
        ]

    def _used(self, step: JsonDict) -> JsonDict:
        used = step.get("usage", [100, 10])
        return {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)}

    def _whole(self, body: JsonDict, step: JsonDict) -> None:
        calls = self._calls(step)
        message: JsonDict = {"role": "assistant", "content": step.get("text")}
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
        base = self._base(body, "chat.completion")
        time.sleep(step.get("delay", 0))
        self._json({**base, "choices": [choice], "usage": self._used(step)})
        self.model.count(step.get("usage", [100, 10]))

    def _stream(self, body: JsonDict, step: JsonDict) -> None:
        base = self._base(body, "chat.completion.chunk")
        calls = self._calls(step)
        deltas: list[JsonDict] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": word} for word in re.findall(r"\S+\s*", step.get("text", ""))]
        for index, call in enumerate(calls):
            deltas.append({"tool_calls": [{"index": index, **call}]})
        events = [
            {**base, "choices": [{"index": 0, "delta": each, "finish_reason": None}]} for each in deltas
        ]
        end = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}
        events.append({**base, "choices": [end]})
        if (body.get("stream_options") or {}).get("include_usage"):
            events.append({**base, "choices": [], "usage": self._used(step)})
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for event in [*map(json.dumps, events), "[DONE]"]:
                data = f"data: {event}\n\n".encode()
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                time.sleep(step.get("delay", 0))
            self.wfile.write(b"0\r\n\r\n")
            self.model.count(step.get("usage", [100, 10]))
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
        self.wfile.write(raw)


class _Server(ThreadingHTTPServer):
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
