"""Owns how git is called: hardened options, a clean environment, and errors that name no secret."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from bot import process, proxies
from bot.core.values import Identity
from bot.errors import GitError, RetryableError
from bot.ports import GitAccess

# Second layer only: what an agent can write never configures a repository that the host uses.
_OPTIONS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.pager": "cat",
    "core.editor": "false",
    "sequence.editor": "false",
    "core.askPass": "",
    "core.sshCommand": "false",
    "core.gitProxy": "",
    "core.symlinks": "true",
    "core.fileMode": "true",
    "core.autocrlf": "false",
    "core.quotePath": "false",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "core.precomposeUnicode": "false",
    "credential.helper": "",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "push.gpgSign": "false",
    "gpg.program": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "diff.ignoreSubmodules": "all",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "push.recurseSubmodules": "no",
    "push.followTags": "false",
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "protocol.file.allow": "never",
    "protocol.ext.allow": "never",
    "safe.bareRepository": "explicit",
    "transfer.fsckObjects": "true",
    # Faults of old git versions that live on in the history of honest projects.
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.missingSpaceBeforeEmail": "ignore",
    "fetch.fsck.badTimezone": "ignore",
    "fetch.fsck.badDate": "ignore",
    "fetch.fsck.missingNameBeforeEmail": "ignore",
    "fetch.fsck.missingEmail": "ignore",
    "transfer.credentialsInUrl": "die",
    "http.followRedirects": "false",
    "http.proxy": "",
    # A server that falls silent for two minutes; one that is only busy says so every few seconds.
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "120",
    "rerere.enabled": "false",
    "advice.detachedHead": "false",
}
OPTIONS: tuple[str, ...] = tuple(part for key, value in _OPTIONS.items() for part in ("-c", f"{key}={value}"))
ENVIRONMENT: dict[str, str] = {
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_EDITOR": "false",
}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PASSING = re.compile(
    r"could not resolve (host|proxy)|failed to connect|couldn't connect|connection (refused|reset|timed out|was)"
    r"|from proxy after connect|connect tunnel failed|proxy connect aborted"
    r"|operation (timed out|too slow)|empty reply|early eof|unexpected disconnect|hung up unexpectedly|rpc failed"
    r"|requested url returned error: (5\d\d|429)|gnutls|ssl_|network is unreachable|too many requests",
    re.IGNORECASE,
)
_OUTPUT_BYTES = 256 << 20
# Kernels that bound no memory say so, and git runs all the same; a hard bound that is lower already stays.
_BOUNDED = ("sh", "-c", 'ulimit -v "$0" 2>/dev/null; exec "$@"')


@dataclass(frozen=True, slots=True)
class Answer:
    """What one git command said; `err` bears no token."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode("utf-8", "surrogateescape").strip()


@dataclass(frozen=True, slots=True)
class Place:
    """Where git works: never found out from the current folder."""

    git_dir: Path
    work_tree: Path | None = None
    index: Path | None = None

    def environment(self) -> dict[str, str]:
        found = {"GIT_DIR": str(self.git_dir)}
        if self.work_tree is not None:
            found["GIT_WORK_TREE"] = str(self.work_tree)
        if self.index is not None:
            found["GIT_INDEX_FILE"] = str(self.index)
        return found


async def git(
    place: Place,
    *args: str,
    stdin: bytes = b"",
    codes: Sequence[int] = (0,),
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    timeout: float = 300,
    memory: int | None = None,
) -> Answer:
    """Run one git command that needs no network, in so many bytes of `memory`; GitError for an exit code that is not expected."""
    start = () if memory is None else (*_BOUNDED, str(memory >> 10))
    answer = await _call(place, [*options, *args], env or {}, stdin, timeout, start)
    if answer.code in codes:
        return answer
    raise GitError(_failure(args[0], answer))


async def git_remote(
    place: Place, access: GitAccess, *args: str, codes: Sequence[int] = (0,), timeout: float = 900
) -> Answer:
    """Run one git command against the forge, the token only in its environment.

    It goes by the proxy that the environment names for that host, if any. RetryableError where the network or the server
    failed, GitError for any other unexpected exit code, UserError for a proxy that cannot be used.
    """
    # A token must not cross a network in the clear, so plain http is for this machine only.
    plain = "always" if urlsplit(access.url).hostname in _LOOPBACK else "never"
    # Only an address that the host itself wrote names a folder: the clone that local mode works for.
    folder = "always" if access.url.startswith("file:///") else "never"
    allowed = ["-c", f"protocol.http.allow={plain}", "-c", f"protocol.file.allow={folder}"]
    env = {**_configured(access), **process.inherited("GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR")}
    answer = await _call(place, [*allowed, *args], env, b"", timeout)
    said = proxies.hidden(answer.err)
    if access.token:
        said = said.replace(access.token, "***").replace(_basic(access.token), "***")
    answer = replace(answer, err=said)
    if answer.code in codes:
        return answer
    raise remote_failure(args[0], answer)


def remote_failure(command: str, answer: Answer) -> RetryableError | GitError:
    """Tell failures of the network and the server, which pass, from those that stay."""
    kind = RetryableError if _PASSING.search(answer.err) else GitError
    return kind(_failure(command, answer))


def _failure(command: str, answer: Answer) -> str:
    return f"`git {command}` failed with code {answer.code}: {answer.err.strip()[-1000:]}"


async def _call(
    place: Place,
    args: Sequence[str],
    env: Mapping[str, str],
    stdin: bytes,
    timeout: float,
    start: Sequence[str] = (),
) -> Answer:
    finished = await process.run(
        [*start, "git", *OPTIONS, *args],
        env={**process.inherited("PATH"), **ENVIRONMENT, **place.environment(), **env},
        timeout=timeout,
        cwd=Path("/"),
        stdin=stdin,
        cap=_OUTPUT_BYTES,
    )
    if finished.code is None:
        raise RetryableError(f"git did not end within {timeout:.0f} s")
    if finished.truncated:
        raise GitError(f"git said more than {_OUTPUT_BYTES >> 20} MiB")
    return Answer(finished.code, finished.stdout, finished.stderr.decode("utf-8", "replace"))


def _configured(access: GitAccess) -> dict[str, str]:
    """Configure for the forge's address alone what holds a secret: in the environment, which others cannot list."""
    values = {}
    if access.token:
        values["extraHeader"] = f"Authorization: Basic {_basic(access.token)}"
    if proxy := proxies.proxy_for(access.url):
        values["proxy"] = proxy  # more special than the `http.proxy` that is switched off for all others
    found = {"GIT_CONFIG_COUNT": str(len(values))}
    for number, (key, value) in enumerate(values.items()):
        found[f"GIT_CONFIG_KEY_{number}"] = f"http.{access.url}.{key}"
        found[f"GIT_CONFIG_VALUE_{number}"] = value
    return found


def _basic(token: str) -> str:
    return base64.b64encode(f"x-access-token:{token}".encode()).decode()


def signature(author: Identity, when: datetime) -> dict[str, str]:
    """Name author and committer and fix both dates, so that the same commit gets the same sha again."""
    date = f"@{int(when.timestamp())} +0000"
    return {
        "GIT_AUTHOR_NAME": author.name,
        "GIT_AUTHOR_EMAIL": author.email,
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_NAME": author.name,
        "GIT_COMMITTER_EMAIL": author.email,
        "GIT_COMMITTER_DATE": date,
    }
