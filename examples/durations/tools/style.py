"""`python tools/style.py` names each line that breaks the style of this project; CI runs it beside the tests."""

import ast
import sys
from pathlib import Path

LONGEST = 110  # characters of a line


def problems(path: Path) -> list[str]:
    """Name what is wrong in one file: long lines, spaces at the end of a line, public functions without a docstring."""
    text = path.read_text(encoding="utf-8")
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > LONGEST:
            found.append(f"{path}:{number}: longer than {LONGEST} characters")
        if line != line.rstrip():
            found.append(f"{path}:{number}: spaces at the end of the line")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and ast.get_docstring(node) is None:
            found.append(f"{path}:{node.lineno}: {node.name} has no docstring")
    return found


def main() -> int:
    """Look at the package; 1 where anything is wrong."""
    found = [problem for path in sorted(Path("durations").rglob("*.py")) for problem in problems(path)]
    print("\n".join(found) or "style: nothing to say")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
