"""What planners and the agent of a story do: proposals, patches, and whole scripts made of them."""

from __future__ import annotations

from typing import Any

JsonDict = dict[str, Any]

PLANNERS = ("architecture", "tests", "smallest")
TEST = "python -m pytest -q -p no:cacheprovider"
FILES = {
    "pyproject.toml": '[project]\nname = "greet"\nversion = "0"\n[tool.pytest.ini_options]\npythonpath = ["src"]\n'
    'addopts = "--disable-plugin-autoload"\n',  # our own tests' plug-ins would take most of each run
    "src/greet.py": 'def hello(name):\n    return f"Hello {name}"\n',
    "src/count.py": "def count(items):\n    return len(items)\n",
    "tests/test_greet.py": 'from greet import hello\n\n\ndef test_hello():\n    assert hello("you") == "Hello you"\n',
    "README.md": "# Greet\n",
    ".gitignore": "__pycache__/\n",
}


def task(local_id: str, title: str, files: list[str], **more: Any) -> JsonDict:
    """One proposed task of a script."""
    return {
        "local_id": local_id,
        "title": title,
        "description": f"{title}.",
        "kind": "simple",
        "files": files,
        "acceptance": [f"{title}, and a test shows it."],
        "estimate": "S",
        **more,
    }


def planner(agent_id: str, *tasks: JsonDict, **more: Any) -> JsonDict:
    """What one planning agent of a script proposes."""
    return {"agent_id": agent_id, "summary": "Be polite.", "tasks": list(tasks), **more}


def agreed(*tasks: JsonDict, **more: Any) -> list[JsonDict]:
    """Three planners that propose the same."""
    return [planner(name, *tasks, **more) for name in PLANNERS]


def new_file(path: str, text: str) -> str:
    """A patch that adds a file."""
    lines = text.splitlines()
    body = "".join(f"+{line}\n" for line in lines)
    return f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n{body}"


def does(match: str, *runs: JsonDict) -> JsonDict:
    """What the agent does, run by run, at the tasks whose title matches."""
    return {"match": match, "runs": list(runs)}


def writes(patch: str, say: str = "I wrote it.", behave: str = "ok") -> JsonDict:
    """A run in which the agent applies a patch."""
    return {"patch": patch, "say": say, "behave": behave}


BYE = new_file("src/bye.py", 'def bye(name):\n    return f"Bye {name}"\n') + new_file(
    "tests/test_bye.py", 'from bye import bye\n\n\ndef test_bye():\n    assert bye("you") == "Bye you"\n'
)
BYE_TASK = task("a", "Say goodbye", ["src/bye.py", "tests/test_bye.py"])
ONE_TASK: JsonDict = {
    "planners": agreed(BYE_TASK),
    "tasks": [does("goodbye", writes("bye.patch", "I wrote bye."))],
}
