"""A small agent that speaks ACP, for tests: a real process, one mode each. Python's own library only.

Called as `python3 fake_acp_agent.py MODE [CHILD_MARK]`; its working directory is the worktree.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class StumbledError(Exception):
    """The turn cannot go on; the process can."""


class Agent:
    """One conversation: reads a request at a time; `busy` modes look for a cancel while they work."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.turn: object = None
        self.asked = 0
        self.prompts: list[str] = []
        self.told: Json = {}  # with the end of a turn
        self.resumed = ""  # the session that it went on with
        os.set_blocking(0, False)
        self.rest = b""

    # --- lines -----------------------------------------------------------------------------------

    def send(self, **fields: Any) -> None:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **fields}) + "\n")
        sys.stdout.flush()

    def receive(self, seconds: float) -> Json | None:
        """Give the next message; None after a time, SystemExit at the end."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self.rest:
            try:
                chunk = os.read(0, 65536)
                if not chunk:
                    sys.exit(0)
                self.rest += chunk
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return None
                time.sleep(0.01)
        line, _, self.rest = self.rest.partition(b"\n")
        message: Json = json.loads(line)
        return message

    def cancelled(self, seconds: float) -> bool:
        message = self.receive(seconds)
        return message is not None and message.get("method") == "session/cancel"

    # --- what it reports -------------------------------------------------------------------------

    def update(self, **fields: Any) -> None:
        self.send(method="session/update", params={"sessionId": "s-1", "update": fields})

    def say(self, text: str) -> None:
        for word in text.split(" "):
            chunk = {"type": "text", "text": word + " "}
            self.update(sessionUpdate="agent_message_chunk", content=chunk)

    def step(
        self, kind: str, given: Json, result: str, path: str | None = None, status: str = "completed"
    ) -> None:
        self.asked += 1
        id_ = f"call-{self.asked}"
        place = [{"path": str(Path.cwd() / path)}] if path else []
        self.update(sessionUpdate="tool_call", toolCallId=id_, title=kind, kind=kind, status="pending")
        content = [{"type": "content", "content": {"type": "text", "text": result}}]
        self.update(
            sessionUpdate="tool_call_update",
            toolCallId=id_,
            status=status,
            rawInput=given,
            locations=place,
            content=content,
        )

    def edit(self, name: str = "done.txt", text: str = "done\n") -> None:
        Path(name).write_text(text, encoding="utf-8")
        self.step("edit", {"filePath": name, "content": text}, "written", name)

    def permitted(self, path: Path) -> bool:
        options = [
            {"optionId": "x1", "name": "No", "kind": "reject_once"},
            {"optionId": "x2", "name": "Yes", "kind": "allow_once"},
        ]
        call = {"toolCallId": "ask", "title": "edit", "kind": "edit", "locations": [{"path": str(path)}]}
        self.send(
            id="ask-1",
            method="session/request_permission",
            params={"sessionId": "s-1", "toolCall": call, "options": options},
        )
        while True:
            answer = self.receive(60)
            assert answer is not None
            if answer.get("id") == "ask-1":
                return bool(answer["result"]["outcome"].get("optionId") == "x2")

    # --- modes -----------------------------------------------------------------------------------

    def prompt(self, text: str) -> str:
        """Take one turn and give why it stopped."""
        self.prompts.append(text)
        stop = getattr(self, f"mode_{self.mode}")()
        return stop or "end_turn"

    def mode_edit(self) -> None:
        self.step("read", {"filePath": "pkg/mod.py"}, Path("pkg/mod.py").read_text(encoding="utf-8"))
        self.edit()
        self.say("All done.")

    def mode_ask(self) -> None:
        self.say(f"inside {self.permitted(Path.cwd() / 'a.txt')}")
        self.say(f"outside {self.permitted(Path.cwd().parent / 'a.txt')}")
        self.edit()

    def mode_idle(self) -> str:
        while not self.cancelled(60):
            pass
        return "cancelled"

    def mode_deaf(self) -> None:
        self.leave_a_daemon()
        while True:
            self.receive(60)

    def mode_flood(self) -> None:
        """Asks and asks, and reads no answer."""
        while True:
            self.send(id="q", method="fs/read_text_file", params={"path": "x" * 100})

    def mode_slow_to_stop(self) -> str:
        self.mode_idle()
        time.sleep(0.5)
        return "cancelled"

    def mode_crash(self) -> None:
        self.edit("half.txt")
        sys.stderr.write("segmentation something\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    def mode_mortal(self) -> None:
        """Dies once, and goes on where it is asked to."""
        if not self.resumed:
            self.mode_crash()
        self.edit("rest.txt", f"{self.resumed}: {self.prompts[-1]}")
        self.say("Went on.")

    mode_loading = mode_mortal

    def mode_forgetful(self) -> None:
        """Dies once, and knows of nothing then."""
        if not Path("half.txt").exists():
            self.mode_crash()
        self.edit("rest.txt", self.prompts[-1])

    def mode_stumbling(self) -> None:
        """Gives up once, alive, and goes on where its session was not deleted meanwhile."""
        if not self.resumed:
            self.edit("half.txt")
            raise StumbledError
        self.mode_mortal()

    def mode_loop(self) -> str:
        for _ in range(2_000):
            self.step("execute", {"command": "cat nowhere"}, "no such file", status="failed")
            if self.cancelled(0.02):
                return "cancelled"
        return "end_turn"

    def mode_nudged(self) -> str:
        if len(self.prompts) == 1:
            for number in range(200):
                self.step("read", {"filePath": "pkg/mod.py", "n": number}, str(number))
                if self.cancelled(0.02):
                    return "cancelled"
        return self.mode_steered()

    def mode_steered(self) -> str:
        if len(self.prompts) == 1:
            self.step("read", {"filePath": "pkg/mod.py"}, "one")
            return self.mode_idle()
        self.edit("note.txt", self.prompts[-1])
        self.say("Followed the note.")
        return "end_turn"

    def mode_daemon(self) -> None:
        self.leave_a_daemon()
        self.edit()

    def leave_a_daemon(self) -> None:
        # A double fork with its streams closed and a session of its own.
        command = "import os,time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); time.sleep(300)"
        null = subprocess.DEVNULL
        subprocess.run([sys.executable, "-c", command], stdin=null, stdout=null, stderr=null, check=True)

    def mode_boast(self) -> None:
        self.edit()
        self.told = {"usage": {"inputTokens": 10**400, "outputTokens": 5, "totalTokens": 10**400}}

    def mode_nothing(self) -> None:
        self.say("There is nothing to do.")

    def mode_refuse(self) -> str:
        return "refusal"

    def mode_environment(self) -> None:
        seen = list(Path("/proc").glob("[0-9]*/environ"))
        texts = [path.read_bytes().decode(errors="replace") for path in seen if os.access(path, os.R_OK)]
        found = sorted(str(path) for path in Path.home().rglob("*"))
        self.edit("environment.txt", "\n".join([*texts, *found, json.dumps(dict(os.environ))]))

    def mode_where(self) -> None:
        self.edit("path.txt", os.environ["PATH"])

    def mode_model(self) -> None:
        self.say(self.model("say hello"))
        self.edit()

    def mode_pay_and_crash(self) -> None:
        """Asks its model once, then ends."""
        self.model("hello")
        self.mode_crash()

    def mode_spend(self) -> str:
        """Asks its model for ever, refused or not."""
        while not self.cancelled(0.01):
            with suppress(urllib.error.HTTPError):
                self.say(self.model("more"))
        return "cancelled"

    def mode_spend_and_end(self) -> None:
        """Asks until it is refused, and then calls it a day, as some agents do."""
        self.edit()
        with suppress(urllib.error.HTTPError):
            while True:
                self.say(self.model("more"))

    def model(self, text: str) -> str:
        base, key = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]
        asked = {"model": os.environ["OPENAI_MODEL"], "messages": [{"role": "user", "content": text}]}
        request = urllib.request.Request(
            f"{base}/chat/completions",
            json.dumps(asked).encode(),
            {"authorization": f"Bearer {key}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.load(answer)["choices"][0]["message"]["content"])

    def mode_plan(self) -> None:
        """Answers a planner's prompt: first with nonsense, then, asked again, with a plan."""
        self.say(
            "Here: {" if len(self.prompts) == 1 else f"As asked:\n```json\n{Path(PLAN).read_text()}\n```"
        )

    # --- the protocol ----------------------------------------------------------------------------

    def take_up(self, message: Json) -> None:
        self.resumed = message["params"]["sessionId"]
        if self.mode == "loading":  # the whole conversation again, as the protocol wants it
            for number in range(20):
                self.step("read", {"n": number}, "as before")
            self.say("Old words.")

    def take_turn(self, message: Json) -> None:
        id_ = message["id"]
        text = "".join(part.get("text", "") for part in message["params"]["prompt"])
        if self.mode in ERRORS:
            self.send(id=id_, error={"code": -32603, "message": ERRORS[self.mode]})
            return
        try:
            self.send(id=id_, result={"stopReason": self.prompt(text), **self.told})
        except StumbledError:
            self.send(id=id_, error={"code": -32603, "message": "internal error"})

    def answer(self, message: Json) -> None:
        method, id_ = message.get("method"), message.get("id")
        if method == "initialize":
            if self.mode == "hang":
                time.sleep(300)
            can = {"sessionCapabilities": {"resume": {}, "close": {}, "delete": {}}}
            able = {"loading": {"loadSession": True}}.get(self.mode, can if self.mode in KEEPING else {})
            self.send(id=id_, result={"protocolVersion": 1, "agentCapabilities": able, "authMethods": []})
        elif self.mode in TAKING_UP.get(method, ()) and not DELETED.exists():
            self.take_up(message)
            self.send(id=id_, result={})
        elif method in {"session/close", "session/delete"} and self.mode in KEEPING:
            DELETED.touch()
            self.send(id=id_, result={})
        elif method == "session/new":
            self.send(id=id_, result={"sessionId": "s-1"})
            if self.mode == "unread":
                time.sleep(300)
        elif method == "session/prompt":
            self.take_turn(message)
        elif id_ is not None:
            self.send(id=id_, error={"code": -32601, "message": "method not found"})

    def mode_noise(self) -> None:
        for noise in (
            "npm WARN deprecated",
            "{",
            "[1, 2]",
            "7",
            "null",
            '{"id": [1]}',
            '{"params": 3}',
            "\xff" * 70000,
        ):
            sys.stdout.write(noise + "\n")
        self.update(sessionUpdate="kind_of_tomorrow", whatever=1)
        self.send(method="session/update", params={"update": "text"})
        self.say("half a character: \ud83d, a whole one: \U0001f600")
        self.edit()


PLAN = "PLAN.json"
KEEPING = ("mortal", "stumbling", "forgetful")
TAKING_UP: Json = {"session/resume": ("mortal", "stumbling"), "session/load": ("loading",)}
DELETED = Path.home() / "deleted"
ERRORS = {
    "unauthorized": "401 Unauthorized: invalid api key",
    "limited": "429: rate limit reached",
    "broken": "internal error",
}

if __name__ == "__main__":
    agent = Agent(sys.argv[1])
    while True:
        received = agent.receive(600)
        if received is not None:
            agent.answer(received)
