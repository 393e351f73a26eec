"""Owns the start of an agent inside its box: a way to the model on loopback, its files, then the agent itself.

Called as `python3 -I inside.py FILE`, alone inside the sandbox, so it uses Python's own library only. FILE is JSON
{"argv", "env", "folders", "files", "socket"}; in texts `{home}` and `{port}` get their values here, because only
here they are known. FILE is deleted, as it holds the token.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

CHUNK = 1 << 16
CONNECTIONS = 64


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end, and hand the end on."""
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def serve(listener: socket.socket, path: str) -> None:
    """Join every connection on loopback with one of the socket that leads out of the box."""
    slots = asyncio.Semaphore(CONNECTIONS)

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with slots:
            with suppress(OSError):
                out_reader, out_writer = await asyncio.open_unix_connection(path)
                back = asyncio.create_task(pump(out_reader, writer))
                forth = asyncio.create_task(pump(reader, out_writer))
                await back  # once the answer is over nobody listens any more
                forth.cancel()
                out_writer.close()
            writer.close()

    server = await asyncio.start_server(join, sock=listener)
    async with server:
        await server.serve_forever()


def detach(home: Path) -> None:
    """Let go of the agent's own streams, or nobody would see that it ended; a relative path fits any socket."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.chdir(home)


def filled(value: Any, home: str, port: int) -> Any:
    """Put the values into every text."""
    if isinstance(value, str):
        return value.replace("{home}", home).replace("{port}", str(port))
    if isinstance(value, list):
        return [filled(each, home, port) for each in value]
    if isinstance(value, dict):
        return {key: filled(each, home, port) for key, each in value.items()}
    return value


def main(path: Path) -> None:
    """Never returns: this process becomes the agent."""
    order = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    home = Path(os.environ["HOME"])
    port = 0
    if order["socket"]:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        if os.fork() == 0:
            detach(home)
            asyncio.run(serve(listener, order["socket"]))
            os._exit(0)
        listener.close()
    order = filled(order, str(home), port)
    for folder in order["folders"]:
        (home / folder).mkdir(parents=True, exist_ok=True)
    for name, text in order["files"].items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")
    argv = order["argv"]
    try:
        os.execvpe(argv[0], argv, {**os.environ, **order["env"]})  # noqa: S606 - there is no shell to guard against
    except OSError as error:
        sys.stderr.write(f"{argv[0]} cannot be started: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
