"""Owns a small package index on loopback: wheels and npm packages made by hand, and a list of what was asked for."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bot.gateway.registries import Registry

HOST = "127.0.0.2"  # loopback, and nothing that NO_PROXY means: clients go by their proxy


@dataclass
class Index:
    """Files by path; `asked` are the paths that were read, in order."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def registry(self) -> Registry:
        return Registry(HOST, self.port, plain=True, own=True)

    @property
    def indexes(self) -> dict[str, str]:
        return {"PIP_INDEX_URL": f"{self.url}/simple/", "NPM_CONFIG_REGISTRY": f"{self.url}/npm/"}

    def add_wheel(self, name: str, version: str, modules: Mapping[str, str]) -> None:
        """Offer a Python package; a page of the index lists its versions."""
        self.add_file(name, f"{name}-{version}-py3-none-any.whl", _wheel(name, version, modules))

    def add_file(self, name: str, file: str, data: bytes) -> None:
        """Offer a file of a Python package."""
        self.files[f"/files/{file}"] = data
        page = self.files.get(f"/simple/{name}/", b"").decode()
        self.files[f"/simple/{name}/"] = f'{page}<a href="/files/{file}">{file}</a>\n'.encode()

    def add_npm(self, name: str, version: str, files: Mapping[str, str]) -> str:
        """Offer a package for npm; gives its integrity, as a lock file names it."""
        about = {"name": name, "version": version, "main": "index.js"}
        data = _tarball({"package.json": json.dumps(about), **files})
        path = f"/npm/{name}/-/{name}-{version}.tgz"
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
        dist = {"tarball": f"{self.url}{path}", "integrity": integrity}
        page = {
            "name": name,
            "dist-tags": {"latest": version},
            "versions": {version: {**about, "dist": dist}},
        }
        self.files |= {path: data, f"/npm/{name}": json.dumps(page).encode()}
        return integrity


@contextmanager
def index() -> Iterator[Index]:
    """Serve one until the block ends."""
    made = Index()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            made.asked.append(self.path)
            data = made.files.get(self.path)
            self.send_response(404 if data is None else 200)
            kind = "text/html" if self.path.startswith("/simple/") else "application/octet-stream"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer((HOST, 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _wheel(name: str, version: str, modules: Mapping[str, str]) -> bytes:
    about = f"{name}-{version}.dist-info"
    parts = {
        **modules,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},," for path in (*parts, f"{about}/RECORD")]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in {**parts, f"{about}/RECORD": "\n".join(rows) + "\n"}.items():
            archive.writestr(path, text)
    return file.getvalue()


def _tarball(files: Mapping[str, str]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"package/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return file.getvalue()
