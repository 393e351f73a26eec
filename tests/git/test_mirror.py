"""The mirror: what it fetches, reads, commits and pushes, and what it never says."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import living
from bot.core.values import Identity
from bot.errors import GitError, RetryableError, StaleRefError, UserError
from bot.git import GitMirror, WorktreeManager
from bot.git.runner import OPTIONS, Place, git, git_remote
from bot.ports import GitAccess
from tests.git.conftest import FILES, REPO, WHEN, WHO
from tests.git.server import TOKEN, GitServer


async def test_fetch_brings_branches_and_drops_those_that_are_gone(
    mirror: GitMirror, server: GitServer, access: GitAccess, base: str
) -> None:
    server.git("branch", "topic", "main")
    await mirror.fetch(access)
    assert await mirror.resolve("topic") == base
    server.git("branch", "-D", "topic")
    await mirror.fetch(access)
    assert await mirror.resolve("topic") is None


async def test_fetches_at_once_do_not_disturb_each_other(
    mirror: GitMirror, access: GitAccess, base: str
) -> None:
    await asyncio.gather(*(mirror.fetch(access) for _ in range(4)))
    assert await mirror.resolve("main") == base


async def test_a_fetch_that_is_interrupted_leaves_no_lock_behind(
    mirror: GitMirror, server: GitServer, access: GitAccess, base: str
) -> None:
    branches = "".join(f"create refs/heads/b/{n} {base}\n" for n in range(500))
    server.git("update-ref", "--stdin", stdin=branches)
    for _ in range(3):
        fetching = asyncio.create_task(mirror.fetch(access))
        async with asyncio.timeout(60):
            while not fetching.done() and not list(mirror.git_dir.rglob("*.lock")):
                await asyncio.sleep(0)
        fetching.cancel()
        await asyncio.wait({fetching})
        assert list(mirror.git_dir.rglob("*.lock")) == []
    await mirror.fetch(access)
    assert await mirror.resolve("b/499") == base


async def test_a_commit_that_no_branch_leads_to_is_brought_and_kept_and_leaves_no_lock_when_interrupted(
    mirror: GitMirror, server: GitServer, access: GitAccess, base: str
) -> None:
    server.git("config", "uploadpack.allowAnySHA1InWant", "true")
    lone = server.git("commit-tree", "-p", base, "-m", "Alone", f"{base}^{{tree}}").strip()
    (mirror.git_dir / "refs/gitwright").mkdir(exist_ok=True)
    (mirror.git_dir / "refs/gitwright/x.lock").touch()  # as a git leaves it that is killed
    fetching = asyncio.create_task(mirror.fetch_commit(access, lone))
    await asyncio.sleep(0)
    fetching.cancel()
    await asyncio.wait({fetching})
    assert list(mirror.git_dir.rglob("*.lock")) == []
    await mirror.fetch_commit(access, lone)
    assert await mirror.resolve(f"refs/gitwright/given/{lone}") == lone
    with pytest.raises(GitError, match="no full sha"):
        await mirror.fetch_commit(access, "--upload-pack=x")


async def test_resolve_takes_branches_refs_and_shas_only(mirror: GitMirror, base: str) -> None:
    assert await mirror.resolve(base) == base
    assert await mirror.resolve("refs/remotes/origin/main") == base
    for nothing in ("0" * 40, "missing", "--all", "main~0..main", ""):
        assert await mirror.resolve(nothing) is None


async def test_the_mirror_is_private_and_used_only_as_we_configured_it(
    mirror: GitMirror, manager: WorktreeManager, base: str
) -> None:
    assert mirror.git_dir.stat().st_mode & 0o777 == 0o700
    config = mirror.git_dir / "config"
    ours = config.read_text()
    config.write_text(f'{ours}[url "http://evil.invalid/"]\n\tinsteadOf = http://127.0.0.1\n')
    for use in (manager.mirror(REPO), mirror.resolve("main"), mirror.files(base), mirror.anchor("x", base)):
        with pytest.raises(GitError, match="tampered with: its configuration"):
            await use
    config.write_text(ours)
    assert await mirror.resolve("main") == base


@pytest.mark.parametrize(
    "name",
    [
        "config.worktree",
        "info/attributes",
        "hooks",
        "objects/info/alternates",
        "worktrees",
        "commondir",
        "shallow",
    ],
)
async def test_a_mirror_in_which_something_else_configures_is_not_used(
    mirror: GitMirror, access: GitAccess, base: str, name: str
) -> None:
    (mirror.git_dir / name).parent.mkdir(exist_ok=True)
    (mirror.git_dir / name).symlink_to("/nonexistent")
    for use in (mirror.fetch(access), mirror.push(access, base, "agent/x", None), mirror.read(base, "f.txt")):
        with pytest.raises(GitError, match=f"`{name}` has appeared"):
            await use
    (mirror.git_dir / name).unlink()
    assert await mirror.read(base, "docs/a.md") == b"docs\n"


async def test_git_gets_an_environment_of_its_own_and_no_token_on_its_command_line(
    mirror: GitMirror, access: GitAccess, tmp_path: Path
) -> None:
    fake = tmp_path / "bin/git"
    fake.parent.mkdir()
    fake.write_text(
        f"#!/bin/sh\ntr '\\0' '\\n' </proc/$$/environ >{tmp_path}/env\nprintf '%s\\n' \"$@\" >{tmp_path}/argv\n"
    )
    fake.chmod(0o755)
    evil = {"GIT_DIR": "/x", "GIT_TRACE": "1", "GIT_CONFIG_PARAMETERS": "'a.b=c'", "GIT_EXTERNAL_DIFF": "/x"}
    before = dict(os.environ)
    os.environ.update({**evil, "PATH": f"{fake.parent}:{before['PATH']}"})
    try:
        await mirror.fetch(access)
    finally:
        os.environ.clear()
        os.environ.update(before)
    given = dict(row.split("=", 1) for row in (tmp_path / "env").read_text().splitlines())
    names = {name for name in given if not name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"))}
    wanted = {"PATH", "LC_ALL", "HOME", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GIT_ATTR_NOSYSTEM"}
    wanted |= {"GIT_NO_REPLACE_OBJECTS", "GIT_TERMINAL_PROMPT", "GIT_OPTIONAL_LOCKS", "GIT_LITERAL_PATHSPECS"}
    wanted |= {"GIT_EDITOR", "GIT_DIR", "GIT_CONFIG_COUNT", living.MARK}
    assert names - wanted <= {"GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    assert wanted <= names
    assert given["GIT_DIR"] == str(mirror.git_dir)
    assert TOKEN not in (tmp_path / "argv").read_text()
    assert access.url in (tmp_path / "argv").read_text()


async def test_read_gives_regular_files_up_to_a_limit(mirror: GitMirror, base: str) -> None:
    assert await mirror.read(base, "docs/a.md") == b"docs\n"
    assert await mirror.read(base, "docs/a.md", limit=4) is None
    for other in ("link", "docs", "docs/", "missing", "*"):
        assert await mirror.read(base, other) is None


async def test_read_many_gives_what_read_gives(mirror: GitMirror, base: str) -> None:
    sha = await mirror.commit_files(
        base, {"blank": b"", "bin": b"\n\0\n\n", "big": b"x" * 500}, "More", WHO, WHEN
    )
    names = ["blank", "bin", "big", "docs/a.md", "link", "docs", "missing"]
    one_by_one = {name: await mirror.read(sha, name, limit=499) for name in names}
    assert await mirror.read_many(sha, names, limit=499) == {
        n: d for n, d in one_by_one.items() if d is not None
    }
    assert await mirror.read_many(sha, []) == {}


async def test_files_lists_every_blob_sorted(mirror: GitMirror, base: str) -> None:
    listed = await mirror.files(base)
    assert [file.path for file in listed] == sorted([*FILES, "link"])
    assert {file.path: file.mode for file in listed}["run.sh"] == "100755"
    assert {file.path: file.size for file in listed}["docs/a.md"] == 5


async def test_commit_files_puts_deletes_and_keeps_modes(mirror: GitMirror, base: str) -> None:
    changes = {"run.sh": b"#!/bin/sh\n", "docs/a.md": None, "new/b.txt": b"\0\n", "pkg/mod.py/deep": b"x"}
    sha = await mirror.commit_files(base, changes, "Change", WHO, WHEN)
    modes = {file.path: file.mode for file in await mirror.files(sha)}
    assert modes["run.sh"] == "100755"
    assert modes["new/b.txt"] == modes["pkg/mod.py/deep"] == "100644"
    assert "docs/a.md" not in modes
    assert "pkg/mod.py" not in modes
    assert await mirror.read(sha, "new/b.txt") == b"\0\n"


@pytest.mark.parametrize("path", ["../out", ".git/config", "a/../b", "/etc/passwd", ""])
async def test_commit_files_refuses_paths_outside_the_repository(
    mirror: GitMirror, base: str, path: str
) -> None:
    with pytest.raises((UserError, GitError)):
        await mirror.commit_files(base, {path: b"x"}, "Change", WHO, WHEN)


_NAMES = st.text("abcXYZ_é", min_size=1, max_size=6).map(lambda name: f"d/{name}")


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    files=st.dictionaries(_NAMES, st.one_of(st.none(), st.binary(max_size=50)), max_size=4),
    message=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40),
    when=st.integers(1_000_000_000, 2_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)
async def test_the_same_commit_gets_the_same_sha(
    mirror: GitMirror, base: str, files: Mapping[str, bytes | None], message: str, when: datetime
) -> None:
    author = Identity("Ann Ö", "ann@example.invalid")
    first = await mirror.commit_files(base, files, message, author, when)
    turned = dict(reversed(list(files.items())))
    assert await mirror.commit_files(base, turned, message, author, when) == first
    assert await mirror.commit_files(base, {**files, "other": b"1"}, message, author, when) != first


async def test_merge_tree_tells_clean_from_conflicted(mirror: GitMirror, base: str) -> None:
    ours = await mirror.commit_files(base, {"f.txt": b"ours\n", "é.txt": b"1\n"}, "Ours", WHO, WHEN)
    aside = await mirror.commit_files(base, {"docs/a.md": b"more\n"}, "Aside", WHO, WHEN)
    theirs = await mirror.commit_files(base, {"f.txt": b"theirs\n", "é.txt": b"2\n"}, "Theirs", WHO, WHEN)
    tree, conflicts = await mirror.merge_tree(ours, aside)
    assert conflicts == ()
    assert [path for path, _, _ in await mirror.diff_stat(ours, tree)] == ["docs/a.md"]
    assert (await mirror.merge_tree(ours, theirs))[1] == ("f.txt", "é.txt")


async def test_merge_makes_a_commit_or_names_conflicts(
    manager: WorktreeManager, mirror: GitMirror, base: str
) -> None:
    ours = await mirror.commit_files(base, {"f.txt": b"ours\n"}, "Ours", WHO, WHEN)
    theirs = await mirror.commit_files(base, {"f.txt": b"theirs\n"}, "Theirs", WHO, WHEN)
    assert await manager.merge(mirror, ours, theirs, "Merge", WHO, WHEN) == (None, ("f.txt",))
    aside = await mirror.commit_files(base, {"docs/a.md": b"more\n"}, "Aside", WHO, WHEN)
    sha, _ = await manager.merge(mirror, ours, aside, "Merge", WHO, WHEN)
    assert sha is not None
    assert await mirror.read(sha, "f.txt") == b"ours\n"
    assert await mirror.read(sha, "docs/a.md") == b"more\n"


@pytest.mark.parametrize(
    ("address", "seconds", "year"),
    [
        ("a\x0cb@x", "1700000001", 2023),
        ("a\u2028b@x", "1700000001", 2023),
        ("a\x85b@x", "1700000001", 2023),
        ("a\x1e\x1cb@x", "1700000001", 2023),
        ("a@x", "253402300800", 9999),
        ("a@x", "999999999999999", 9999),
        ("a@x", "9" * 40, 9999),  # more than git itself reads
        ("a@x", "-5", 1970),
        ("a@x", "soon", 1970),
        ("", "1700000001", 2023),
    ],
)
async def test_commits_are_listed_whatever_stands_in_one_of_them(
    mirror: GitMirror, base: str, address: str, seconds: str, year: int
) -> None:
    tree = await mirror.write_tree(base, {})
    person = f"a <{address}> {seconds} +0000"
    text = f"tree {tree}\nparent {base}\nauthor {person}\ncommitter {person}\n\nx\n".encode()
    command = ("hash-object", "-t", "commit", "-w", "--literally", "--stdin")
    odd = (await git(Place(mirror.git_dir), *command, stdin=text)).text
    new = await mirror.commit_tree(tree, (odd,), "After it", WHO, WHEN)
    after, found = await mirror.commits(base, new)
    assert (after.sha, after.parents, after.author, after.when) == (new, (odd,), WHO.email, WHEN)
    assert (found.sha, found.parents, found.committer, found.tree) == (odd, (base,), address, tree)
    assert found.when.year == year
    assert await mirror.commits(new, new) == []
    assert [commit.sha for commit in await mirror.unpublished(new)] == [new, odd]


async def test_diff_stat_counts_lines(mirror: GitMirror, base: str) -> None:
    new = await mirror.commit_files(base, {"docs/a.md": b"one\ntwo\n", "bin": b"\0"}, "Change", WHO, WHEN)
    assert await mirror.diff_stat(base, new) == [("bin", 0, 0), ("docs/a.md", 2, 1)]


async def test_push_makes_moves_and_repeats_but_never_overwrites(
    mirror: GitMirror, server: GitServer, access: GitAccess, base: str
) -> None:
    one = await mirror.commit_files(base, {"a": b"1"}, "One", WHO, WHEN)
    two = await mirror.commit_files(base, {"a": b"2"}, "Two", WHO, WHEN)
    await mirror.push(access, one, "agent/x", None)
    await mirror.push(access, one, "agent/x", None)
    with pytest.raises(StaleRefError):
        await mirror.push(access, two, "agent/x", None)
    with pytest.raises(StaleRefError):
        await mirror.push(access, two, "agent/x", base)
    assert server.git("rev-parse", "agent/x") == one
    await mirror.push(access, two, "agent/x", one)
    assert server.git("rev-parse", "agent/x") == two
    assert server.git("rev-parse", "main") == base


async def test_a_refused_push_is_an_error_with_the_reason(
    mirror: GitMirror, server: GitServer, access: GitAccess, base: str
) -> None:
    hook = server.root / "r.git/hooks/update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(GitError, match="a hook of the forge") as caught:
        await mirror.push(access, base, "agent/x", None)
    assert not isinstance(caught.value, StaleRefError)


@pytest.mark.parametrize("branch", ["--mirror", "+main"])
async def test_a_branch_name_is_never_an_option(
    mirror: GitMirror, server: GitServer, access: GitAccess, base: str, branch: str
) -> None:
    before = server.git("for-each-ref", "--format=%(refname)").split()
    await mirror.push(access, base, branch, None)
    after = server.git("for-each-ref", "--format=%(refname)").split()
    assert sorted(after) == sorted([*before, f"refs/heads/{branch}"])


@pytest.mark.parametrize("branch", ["a b", "a..b", "x:y", "a~1", "a.lock", ""])
async def test_a_branch_name_that_git_does_not_know_is_refused(
    mirror: GitMirror, server: GitServer, access: GitAccess, base: str, branch: str
) -> None:
    before = server.git("for-each-ref")
    with pytest.raises(GitError):
        await mirror.push(access, base, branch, None)
    assert server.git("for-each-ref") == before


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_a_failing_server_asks_for_another_try(
    mirror: GitMirror, server: GitServer, access: GitAccess, base: str, status: int
) -> None:
    server.fault = status
    for attempt in (mirror.fetch(access), mirror.push(access, base, "agent/x", None)):
        with pytest.raises(RetryableError):
            await attempt


async def test_a_server_that_falls_silent_is_given_up_for_later(mirror: GitMirror) -> None:
    async def silence(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    held: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(silence, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/o/r.git"
    usual = dict(option.split("=", 1) for option in OPTIONS[1::2])
    assert 0 < int(usual["http.lowSpeedTime"]) <= 120
    sooner = ("-c", "http.lowSpeedTime=1")
    try:
        async with asyncio.timeout(60):
            with pytest.raises(RetryableError, match="too slow"):
                await git_remote(Place(mirror.git_dir), GitAccess(url, TOKEN), *sooner, "ls-remote", url)
    finally:
        for writer in held:
            writer.transport.abort()
        silent.close()
        await asyncio.sleep(0)


async def test_an_absent_server_asks_for_another_try(mirror: GitMirror) -> None:
    with pytest.raises(RetryableError):
        await mirror.fetch(GitAccess("http://127.0.0.1:9/o/r.git", TOKEN))


_PILE = """\
for n in $(seq $1 $2); do
    echo $n | git hash-object -w --stdin | tee /dev/stderr | git pack-objects -q objects/pack/pack >/dev/null
done
git prune-packed
"""


def pile_up(mirror: GitMirror, first: int, last: int) -> list[str]:
    """Make a pack for each number, which holds one blob."""
    command = ["sh", "-c", _PILE, "pile", str(first), str(last)]
    env = {"PATH": os.environ["PATH"], "GIT_DIR": str(mirror.git_dir)}
    done = subprocess.run(
        command, cwd=mirror.git_dir, env=env, capture_output=True, text=True, check=True, timeout=100
    )
    return done.stderr.split()


async def test_many_packs_become_one_and_nothing_is_lost(
    manager: WorktreeManager, mirror: GitMirror, base: str
) -> None:
    def packs() -> int:
        return len(list((mirror.git_dir / "objects/pack").glob("*.pack")))

    blobs = pile_up(mirror, 1, 9)
    few = packs()
    assert await manager.pack() == []
    assert packs() == few >= 9, "it was not worth it"
    blobs += pile_up(mirror, 10, 60)
    assert await manager.pack() == []
    assert packs() <= 2
    # Another job may be about to use what nothing refers to yet.
    assert [await mirror.blob(sha) for sha in blobs[::20]] == [b"1\n", b"21\n", b"41\n"]
    assert await mirror.read(base, "docs/a.md") == b"docs\n"


async def test_a_mirror_that_cannot_be_packed_hides_no_other(
    manager: WorktreeManager, mirror: GitMirror, base: str
) -> None:
    broken = mirror.git_dir.parent / "1.git"
    broken.mkdir()
    [wrong] = await manager.pack()
    assert wrong.startswith("1.git: The mirror 1.git was tampered with")


async def test_a_wrong_token_is_an_error_that_does_not_name_it(mirror: GitMirror, server: GitServer) -> None:
    with pytest.raises(GitError) as caught:
        await mirror.fetch(GitAccess(f"{server.url}/r.git", "ghs_wrong"))
    assert "ghs_wrong" not in str(caught.value)


async def test_plain_http_is_for_this_machine_only(mirror: GitMirror) -> None:
    with pytest.raises(GitError, match="not allowed"):
        await mirror.fetch(GitAccess("http://forge.example.invalid/o/r.git", TOKEN))
    for url in ("ext::sh -c true", "file:///etc", "ssh://x/y"):
        with pytest.raises(GitError):
            await mirror.fetch(GitAccess(url, TOKEN))


async def test_the_token_is_in_no_file_and_no_command_line(
    mirror: GitMirror, server: GitServer, access: GitAccess, base: str, tmp_path: Path
) -> None:
    await mirror.push(access, base, "agent/x", None)
    found = subprocess.run(
        ["grep", "-rl", TOKEN, str(tmp_path / "data")], capture_output=True, text=True, check=False
    )
    assert found.stdout == ""
    assert any(server.seen)
    assert TOKEN not in repr(access)
