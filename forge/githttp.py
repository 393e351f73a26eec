"""Git over HTTP: `git http-backend` behind ASGI; what a push moved is announced before the client hears of it."""

import asyncio
import os
import re
import signal
import tempfile
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import IO, TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from forge import declining, pushing
from forge.auth import Actor, forge_of
from forge.errors import GitHubError
from forge.store import Row

if TYPE_CHECKING:
    from forge.state import Forge

router = APIRouter()

SERVICE = re.compile(r"^/[\w.-]+/[\w.-]+\.git/(info/refs|git-upload-pack|git-receive-pack)$")
CHALLENGE = {"www-authenticate": 'Basic realm="GitHub"'}
LONGEST = 600.0  # seconds that one git process may take
CHUNK = 1 << 16


@router.api_route("/{owner}/{name}.git/{service:path}", methods=["GET", "POST"])
async def serve(request: Request, owner: str, name: str, service: str) -> Response:
    """One request of a git client."""
    forge = forge_of(request)
    pushes = service == "git-receive-pack" or request.query_params.get("service") == "git-receive-pack"
    if not SERVICE.match(request.scope["path"]) or (request.method == "POST") != service.startswith("git-"):
        return PlainTextResponse("Not Found\n", 404)
    refusal: GitHubError | None = request.scope.get("forge.refusal")
    if refusal is not None:
        return PlainTextResponse(f"{refusal.message}\n", 401, CHALLENGE)
    actor: Actor = request.scope["forge.actor"]
    repo = forge.repo(owner, name)
    denied = _denied(actor, repo, pushes)
    if denied is not None or repo is None:
        return denied or PlainTextResponse("Not Found\n", 404)
    env = _environment(forge, request, repo, actor, service)
    if service == "git-receive-pack":
        return await _receive(forge, request, repo, actor, env)
    return _Stream(env)


def _denied(actor: Actor, repo: Row | None, pushes: bool) -> Response | None:
    """GitHub asks an anonymous caller for a password, and tells nobody what they cannot see."""
    visible = repo is not None and actor.can_see(repo)
    allowed = repo is not None and visible and actor.can("contents", "write" if pushes else "read", repo)
    if allowed and repo is not None and not (pushes and repo["archived"]):
        return None
    if actor.kind == "anonymous":
        return PlainTextResponse("Authentication required\n", 401, CHALLENGE)
    if not visible:
        return PlainTextResponse("Repository not found.\n", 404)
    assert repo is not None
    if repo["archived"]:
        return PlainTextResponse("This repository was archived so it is read-only.\n", 403)
    full = f"{repo['owner_login']}/{repo['name']}.git"
    return PlainTextResponse(f"Permission to {full} denied to {actor.user['login']}.\n", 403)


def _environment(forge: "Forge", request: Request, repo: Row, actor: Actor, service: str) -> dict[str, str]:
    """What CGI tells `git http-backend`; nothing of ours but what it needs."""
    env = {
        **forge.git.env,
        "GIT_PROJECT_ROOT": str(forge.git.root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repo['owner_login']}/{repo['name']}.git/{service}",
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.scope["query_string"].decode("latin-1"),
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "REMOTE_ADDR": request.client.host if request.client else "",
    }
    if actor.kind != "anonymous":
        env["REMOTE_USER"] = str(actor.user["login"])  # switches receive-pack on
    for header, name in (
        ("git-protocol", "GIT_PROTOCOL"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("content-length", "CONTENT_LENGTH"),
    ):
        if header in request.headers:
            env[name] = request.headers[header]
    return env


async def _receive(
    forge: "Forge", request: Request, repo: Row, actor: Actor, env: dict[str, str]
) -> Response:
    """A push: its body is taken whole first, so that nobody holds the repository's lock by sending slowly."""
    with tempfile.TemporaryFile() as body:
        try:
            await _spool(request, body)
        except (ClientDisconnect, zlib.error, EOFError, OSError):
            return PlainTextResponse("The request ended early\n", 400)
        env = {key: value for key, value in env.items() if key != "HTTP_CONTENT_ENCODING"}
        env["CONTENT_LENGTH"] = str(body.tell())
        body.seek(0)
        # A client that goes away does not stop a push that has arrived: it is finished and announced.
        return await asyncio.shield(_push(forge, repo, actor, env, body))


async def _push(forge: "Forge", repo: Row, actor: Actor, env: dict[str, str], body: IO[bytes]) -> Response:
    async with _locked(forge, repo):
        declined = await asyncio.to_thread(declining.refusal, forge, repo, actor, body)
        if declined is not None:
            return Response(declined, media_type="application/x-git-receive-pack-result")
        process = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            stdin=body,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=env,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(LONGEST):
                out, _ = await process.communicate()
        except TimeoutError:
            _kill(process)
            await process.wait()
            return PlainTextResponse("git took too long\n", 500)
        finally:
            await asyncio.to_thread(pushing.announce_moves, forge, repo, actor)
    head, _, content = out.partition(b"\r\n\r\n")
    status, headers = _parse(head)
    return Response(content, status, headers)


async def _spool(request: Request, body: IO[bytes]) -> None:
    """Writes the request's body to a file, unpacked if the client packed it."""
    packed = request.headers.get("content-encoding") in ("gzip", "x-gzip")
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if packed else None
    async for chunk in request.stream():
        await asyncio.to_thread(body.write, chunk if inflate is None else inflate.decompress(chunk))


@asynccontextmanager
async def _locked(forge: "Forge", repo: Row) -> AsyncIterator[None]:
    """Holds the repository's lock; waits without a thread, so that its holder always finds one."""
    lock = forge.git.lock(repo)
    while not lock.acquire(blocking=False):  # noqa: ASYNC110 - threads hold it too
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        lock.release()


def _parse(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers of a CGI answer."""
    pairs = (line.partition(":") for line in head.decode("latin-1").split("\r\n") if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    status = int(headers.pop("status", "200").split()[0])
    return status, headers


class _Stream(Response):
    """Fetches and ref advertisements: three pumps at once, and a client that goes away takes git with it."""

    def __init__(self, env: dict[str, str]) -> None:
        super().__init__()
        self._env = env

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request."""
        process = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=self._env,
            start_new_session=True,
        )
        feeding = asyncio.create_task(_feed(process, receive))
        try:
            async with asyncio.timeout(LONGEST):
                await _pump(process, send)
                await process.wait()
        finally:
            feeding.cancel()
            with suppress(asyncio.CancelledError):
                await feeding
            if process.returncode is None:
                _kill(process)
                await process.wait()


async def _feed(process: asyncio.subprocess.Process, receive: Receive) -> None:
    """Hands the body on, then waits for the client to go away, and kills git if it does."""
    assert process.stdin is not None
    more = True
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            _kill(process)
            return
        if not more:
            continue
        with suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(message.get("body", b""))
            await process.stdin.drain()
        more = message.get("more_body", False)
        if not more:
            process.stdin.close()


def _kill(process: asyncio.subprocess.Process) -> None:
    """Ends git with the children that do its work; they lead a process group of their own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _pump(process: asyncio.subprocess.Process, send: Send) -> None:
    assert process.stdout is not None
    try:
        head = (await process.stdout.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        await PlainTextResponse("git failed\n", 500)({"type": "http"}, _nothing, send)
        return
    status, headers = _parse(head)
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    while chunk := await process.stdout.read(CHUNK):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _nothing() -> dict[str, str]:
    return {"type": "http.disconnect"}
