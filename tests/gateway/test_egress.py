"""The proxy of a box leads to exact hosts and nowhere else; each thing that it refuses does work without it, here too."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import ssl
import sys
import tarfile
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509

from bot.errors import UserError
from bot.gateway.addresses import allowed
from bot.gateway.egress import SOCKET, Caps, EgressProxy, Outside, egress
from bot.gateway.registries import Registry, indexes, registries
from bot.ports import Box, SandboxPolicy
from bot.sandbox.none import NoSandbox
from tests.gateway.outside import PUBLIC, Dial, Names, Server, serving
from tests.support.lines import connected

HOST = "site.example.org"
INDEX = "index.internal"


def world(dial: Dial) -> Outside:
    return Outside(ssl.create_default_context(), dial)


@asynccontextmanager
async def boxed(proxy: EgressProxy, folder: Path) -> AsyncIterator[Box]:
    """Lend a box without walls, whose way out is the proxy: what is tried is the proxy."""
    for name in ("work", "home"):
        (folder / name).mkdir(exist_ok=True)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    policy = SandboxPolicy(folder / "work", folder / "home", outlets=(proxy.outlet,), path=path)
    async with NoSandbox(allowed=True).open(policy) as box:
        yield box


async def curl(box: Box, *args: str, env: Mapping[str, str] | None = None) -> tuple[int | None, str]:
    """Run curl and give its code and what it said."""
    argv = ("curl", "-sS", "--max-time", "60", *args)
    done = await box.run(argv, timeout=90, env=env)
    return done.code, done.output


async def ask(folder: Path, text: str, tls: ssl.SSLContext | None = None, name: str = HOST) -> str:
    """Say something to the proxy, upgrade to TLS if it agrees, and give all that it answers."""
    reader, writer = await connected(folder / SOCKET)
    try:
        writer.write(text.encode("latin-1"))
        head = b""
        if tls is not None:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
            await writer.start_tls(tls, server_hostname=name)
            writer.write(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        return (head + await asyncio.wait_for(reader.read(), 60)).decode("latin-1")
    finally:
        writer.close()


async def direct(server: Server) -> str:
    """Ask the server itself."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.port, ssl=server.trust, server_hostname=server.host
    )
    writer.write(f"GET / HTTP/1.1\r\nHost: {server.host}\r\nConnection: close\r\n\r\n".encode())
    try:
        return (await asyncio.wait_for(reader.read(), 60)).decode()
    finally:
        writer.close()


async def test_a_listed_host_is_reached_by_its_own_certificate(tmp_path: Path) -> None:
    names = Names({HOST: [(PUBLIC,)]})
    with serving(HOST, tmp_path) as server:
        dial = Dial(server.port)
        async with (
            egress(tmp_path, hosts=[HOST], resolve=names, outside=world(dial)) as proxy,
            boxed(proxy, tmp_path) as box,
        ):
            env = proxy.environment(box)
            code, said = await curl(box, "--cacert", str(server.authority), f"https://{HOST}/", env=env)
            assert (code, said) == (0, "hello")
            assert not env.keys() & {"SSL_CERT_FILE", "PIP_CERT"}  # its TLS is passed through
    assert dial.to == [(HOST, 443, (PUBLIC,))]
    assert proxy.refused == ()
    assert proxy.bytes > 500
    assert not (tmp_path / SOCKET).exists()


TARGETS = (
    ("other.example.org:443", "other.example.org"),
    (f"{HOST}:80", HOST),
    (f"{HOST}:8443", HOST),
    (f"sub.{HOST}:443", f"sub.{HOST}"),
    ("93.184.215.14:443", "93.184.215.14"),
    ("169.254.169.254:443", "169.254.169.254"),
    ("[::1]:443", ""),
    (f"{HOST}.:443", ""),
    (f"{HOST}%00.other:443", ""),
    (f"user@{HOST}:443", ""),
    (f"{HOST}:443:443", ""),
    (f"{HOST}:+443", ""),
    (HOST, ""),
)


async def test_nothing_but_the_listed_hosts_is_open(tmp_path: Path) -> None:
    names = Names({host: [(PUBLIC,)] for host in (HOST, "other.example.org", f"sub.{HOST}")})
    with serving(HOST, tmp_path) as server:
        dial = Dial(server.port)
        async with egress(tmp_path, hosts=[HOST], resolve=names, outside=world(dial)) as proxy:
            for target, refused in TARGETS:
                answer = await ask(tmp_path, f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n")
                assert answer.startswith(("HTTP/1.1 403 ", "HTTP/1.1 400 ")), target
                assert (dial.to, names.asked) == ([], []), target
                assert proxy.refused[-1:] == ((refused,) if refused else proxy.refused[-1:]), target
            again = await ask(tmp_path, f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: x\r\n\r\n", server.trust)
        assert again.endswith("hello")  # the way itself works


INSIDE = (
    *("127.0.0.1", "10.0.0.5", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255", "198.18.0.1"),
    *(
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
    ),
    *(
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378::",
        "::7f00:1",
        "fe80::1%1",
    ),
    *("2001:db8::1", "not an address"),
)


async def test_no_address_inside_is_led_to(tmp_path: Path) -> None:
    hosts = [f"h{number}.example.org" for number in range(len(INSIDE))]
    names = Names(
        {host: [(address,)] for host, address in zip(hosts, INSIDE, strict=True)} | {HOST: [(PUBLIC,)]}
    )
    with serving(HOST, tmp_path) as server:
        dial = Dial(server.port)
        async with egress(tmp_path, hosts=[*hosts, HOST], resolve=names, outside=world(dial)) as proxy:
            for host, address in zip(hosts, INSIDE, strict=True):
                answer = await ask(tmp_path, f"CONNECT {host}:443 HTTP/1.1\r\nHost: x\r\n\r\n")
                assert answer.startswith("HTTP/1.1 403 "), address
                assert "may not reach" in answer, address
            assert dial.to == []
            assert proxy.refused == tuple(hosts)
            said = await ask(tmp_path, f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: x\r\n\r\n", server.trust)
            assert said.endswith("hello")


def test_what_is_public_is_allowed_and_the_operators_own_may_be_private() -> None:
    assert all(allowed(each, private=False) for each in (PUBLIC, "8.8.8.8", "2606:4700::1111"))
    own = ("10.0.0.5", "192.168.1.1", "127.0.0.1", "::1", "fc00::1", "100.64.0.1")
    assert all(allowed(each, private=True) for each in own)
    never = ("169.254.169.254", "168.63.129.16", "fd00:ec2::254", "::ffff:10.0.0.5", "224.0.0.1", "0.0.0.0")
    assert not any(allowed(each, private=True) for each in never)


async def test_a_name_is_looked_up_once_so_it_cannot_come_to_mean_something_else(tmp_path: Path) -> None:
    names = Names({HOST: [(PUBLIC,), ("127.0.0.1",)]})
    with serving(HOST, tmp_path) as server:
        dial = Dial(server.port)
        async with egress(tmp_path, hosts=[HOST], resolve=names, outside=world(dial)):
            for _ in range(3):
                said = await ask(tmp_path, f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: x\r\n\r\n", server.trust)
                assert said.endswith("hello")
    assert names.asked == [HOST]
    assert {to for _, _, to in dial.to} == {(PUBLIC,)}
    assert await names(HOST, 443) == ("127.0.0.1",)  # who asks twice is led inside


async def test_one_address_inside_spoils_an_answer(tmp_path: Path) -> None:
    names = Names({HOST: [(PUBLIC, "10.0.0.5")]})
    async with egress(tmp_path, hosts=[HOST], resolve=names) as proxy:
        assert "403" in await ask(tmp_path, f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert proxy.refused == (HOST,)


async def test_tls_must_name_the_host_that_was_asked_for(tmp_path: Path) -> None:
    names = Names({HOST: [(PUBLIC,)]})
    with serving(HOST, tmp_path) as server:
        assert "hello" in await direct(server)
        loose = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        loose.check_hostname, loose.verify_mode = False, ssl.CERT_NONE
        async with egress(tmp_path, hosts=[HOST], resolve=names, outside=world(Dial(server.port))) as proxy:
            connect = f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: x\r\n\r\n"
            for name in ("hidden.example.org", ""):  # another one; none at all
                with pytest.raises((OSError, EOFError)):
                    await ask(tmp_path, connect, loose, name)
            said = await ask(tmp_path, connect + "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert said.count("\r\n") <= 3  # that it may connect, and nothing after it
            assert (await ask(tmp_path, connect, loose, HOST)).endswith("hello")
        assert proxy.refused == ("hidden.example.org",)
        assert len(server.seen) == 2


async def test_nothing_goes_out_without_tls(tmp_path: Path) -> None:
    names = Names({HOST: [(PUBLIC,)]})
    with serving(HOST, tmp_path, plain=True) as server:
        async with (
            egress(tmp_path, hosts=[HOST], resolve=names, outside=world(Dial(server.port))) as proxy,
            boxed(proxy, tmp_path) as box,
        ):
            env = proxy.environment(box)
            code, said = await curl(box, "-f", f"http://{HOST}:{server.port}/", env=env)
            assert code == 22
            assert "403" in said
            assert server.seen == []
            code, said = await curl(box, f"http://127.0.0.1:{server.port}/")
            assert (code, said) == (0, "hello")
        assert proxy.refused == (HOST,)


async def test_the_forges_own_hosts_are_never_open(tmp_path: Path) -> None:
    listed = ["github.com", "api.github.com", "notgithub.com"]
    async with egress(tmp_path, hosts=listed, never=("github.com",), resolve=Names({})) as proxy:
        assert proxy.hosts == {"notgithub.com"}


async def test_bytes_and_time_have_an_end(tmp_path: Path) -> None:
    names = Names({HOST: [(PUBLIC,)]})
    connect = f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(HOST, tmp_path) as server:
        server.pages["/"] = b"x" * 500_000
        caps = Caps(down=100_000)
        async with egress(
            tmp_path, hosts=[HOST], resolve=names, outside=world(Dial(server.port)), caps=caps
        ) as proxy:
            assert len(await ask(tmp_path, connect, server.trust)) < 200_000
        assert proxy.received < 300_000
        assert len(await direct(server)) > 500_000
        async with egress(
            tmp_path,
            hosts=[HOST],
            resolve=names,
            outside=world(Dial(server.port)),
            caps=Caps(seconds=1.0, idle=3600),
        ):
            reader, writer = await connected(tmp_path / SOCKET)
            writer.write(connect.encode())
            async with asyncio.timeout(60):
                # These where it ended before it was through: before that, it has other limits as well.
                with suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
                    await reader.readuntil(b"\r\n\r\n")
                    await writer.start_tls(server.trust, server_hostname=HOST)
                    await reader.read()  # it ends, although nothing is said
            writer.close()


# --- registries ----------------------------------------------------------------------------------


@asynccontextmanager
async def reading(
    folder: Path, server: Server, found: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[EgressProxy, Box]]:
    """Lend the proxy of a set-up whose only registry is this server, and a box behind it."""
    own = Registry(server.host, server.port, plain=server.authority == Path(), own=True)
    names = Names({server.host: [("127.0.0.1",)]})
    outside = None if own.plain else Outside(server.trust)
    async with (
        egress(folder, registries=[own], resolve=names, outside=outside, indexes=found) as proxy,
        boxed(proxy, folder) as box,
    ):
        yield proxy, box


async def test_a_registry_is_read_and_nothing_is_brought_to_it(tmp_path: Path) -> None:
    with serving(INDEX, tmp_path, data=b"wheel") as server:
        url = f"https://{INDEX}:{server.port}/data"
        straight = ("--cacert", str(server.authority), "--resolve", f"{INDEX}:{server.port}:127.0.0.1")
        async with reading(tmp_path, server) as (proxy, box):
            env = proxy.environment(box, str(proxy.bundle))
            assert await curl(box, url, env=env) == (0, "wheel")
            assert (await curl(box, "-I", url, env=env))[1].startswith("HTTP/1.1 200")
            assert len(server.seen) == 2
            for change in (
                ("-d", "secret"),
                ("-X", "DELETE"),
                ("-X", "PUT"),
                ("-X", "GET", "-d", "secret"),
                ("-H", "Authorization: Bearer x"),
                ("-H", "Cookie: a=b"),
                ("-H", "Upgrade: websocket"),
                ("-H", "Transfer-Encoding: chunked", "-X", "GET", "-d", "x"),
            ):
                code, said = await curl(box, "-f", *change, url, env=env)
                assert code == 22, (change, said)
                assert (await curl(box, *change, *straight, url))[0] == 0
            assert len(server.seen) == 2 + 8
            code, _ = await curl(box, "-f", f"{url}?{'x' * 600}", env=env)
            assert code == 22
            assert (await curl(box, "-H", "X-Note: secret", "-A", "secret", url, env=env)) == (0, "wheel")
            assert "secret" not in str(server.headers[-1])


async def test_a_registry_is_judged_by_the_hosts_authorities(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with serving(INDEX, tmp_path) as server, serving(INDEX, tmp_path / "other") as other:
        own = Registry(INDEX, server.port, own=True)
        names = Names({INDEX: [("127.0.0.1",)]})
        async with (
            egress(tmp_path, registries=[own], resolve=names, outside=Outside(other.trust)) as proxy,
            boxed(proxy, tmp_path) as box,
        ):
            env = proxy.environment(box, str(proxy.bundle))
            assert (await curl(box, "-f", f"https://{INDEX}:{server.port}/", env=env))[0] == 22
        assert server.seen == []


async def test_the_authority_of_a_box_vouches_for_nobody_else(tmp_path: Path) -> None:
    with serving(INDEX, tmp_path) as server:
        async with reading(tmp_path, server) as (proxy, _):
            assert proxy.bundle is not None
            own = x509.load_pem_x509_certificates(proxy.bundle.read_bytes())[-1]
            bundle = proxy.bundle
    assert not bundle.exists()
    constraints = own.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [x509.DNSName(INDEX)]
    assert (own.not_valid_after_utc - own.not_valid_before_utc).total_seconds() < 24 * 3600


async def test_a_plain_registry_is_read_where_the_operator_wrote_so(tmp_path: Path) -> None:
    with serving(INDEX, tmp_path, plain=True, data=b"wheel") as server:
        url = f"http://{INDEX}:{server.port}/data"
        async with reading(tmp_path, server) as (proxy, box):
            env = proxy.environment(box, str(proxy.bundle))
            assert await curl(box, url, env=env) == (0, "wheel")
            assert (await curl(box, "-f", "-d", "secret", url, env=env))[0] == 22
            other = f"http://{INDEX}:{server.port + 1}/"
            assert (await curl(box, "-f", other, env=env))[0] == 22
        assert [method for method, _, _ in server.seen] == ["GET"]


def a_wheel() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("thing/__init__.py", "")
        file.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        file.writestr(
            "thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr("thing-1.0.dist-info/RECORD", "")
    return data.getvalue()


@pytest.mark.long
async def test_pip_downloads_through_it(tmp_path: Path) -> None:
    wheel = "thing-1.0-py3-none-any.whl"
    with serving(INDEX, tmp_path) as server:
        server.pages["/simple/thing/"] = f'<a href="/files/{wheel}">{wheel}</a>'.encode()
        server.pages[f"/files/{wheel}"] = data = a_wheel()
        given = {"PIP_INDEX_URL": f"https://me:secret@{INDEX}:{server.port}/simple"}
        found = indexes(given, [Registry(INDEX, server.port, own=True)])
        async with reading(tmp_path, server, found) as (proxy, box):
            env = proxy.environment(box, str(proxy.bundle))
            argv = (sys.executable, "-m", "pip", "download", "--no-deps", "-d", "got", "thing")
            done = await box.run(argv, timeout=60, env=env)
            assert done.code == 0, done.output
            without = await box.run(
                argv, timeout=60, env={"PIP_INDEX_URL": found["PIP_INDEX_URL"], "PIP_RETRIES": "0"}
            )
            assert without.code != 0  # nothing else leads there
    assert (tmp_path / "work" / "got" / wheel).read_bytes() == data


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not here")
async def test_npm_installs_through_it(tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as file:
        text = b'{"name": "thing", "version": "1.0.0"}'
        info = tarfile.TarInfo("package/package.json")
        info.size = len(text)
        file.addfile(info, io.BytesIO(text))
    with serving(INDEX, tmp_path) as server:
        at = f"https://{INDEX}:{server.port}"
        server.pages["/thing.tgz"] = data.getvalue()
        about = (
            f'{{"name": "thing", "dist-tags": {{"latest": "1.0.0"}}, "versions": {{"1.0.0": {{"name": "thing", '
            f'"version": "1.0.0", "dist": {{"tarball": "{at}/thing.tgz"}}}}}}}}'
        )
        server.pages["/thing"] = about.encode()
        found = indexes({"npm_config_registry": at}, [Registry(INDEX, server.port, own=True)])
        async with reading(tmp_path, server, found) as (proxy, box):
            env = proxy.environment(box, str(proxy.bundle))
            done = await box.run(("npm", "install", "thing"), timeout=100, env=env)
            assert done.code == 0, done.output
    assert (tmp_path / "work" / "node_modules" / "thing" / "package.json").is_file()


def test_the_operators_registries_are_read_from_a_setting() -> None:
    assert registries(
        ["index.example.org", "https://Nexus.internal:8443/pypi/simple", "http://old.internal/npm"]
    ) == (
        Registry("index.example.org", own=True),
        Registry("nexus.internal", 8443, own=True),
        Registry("old.internal", 80, plain=True, own=True),
    )
    for wrong in ("ftp://x.org", "*.example.org", "https://me:secret@x.org/", "https://", "x.org:0", "a b"):
        with pytest.raises(UserError) as caught:
            registries([wrong])
        assert "secret" not in str(caught.value)


def test_package_managers_are_led_to_the_operators_registries_alone_and_without_credentials() -> None:
    own = registries(["https://nexus.internal:8443", "http://old.internal"])
    environ = {
        "PIP_INDEX_URL": "https://me:secret@nexus.internal:8443/simple",
        "PIP_EXTRA_INDEX_URL": "http://old.internal/simple https://elsewhere.org/simple",
        "GOPROXY": "https://nexus.internal:8443/go,direct",
        "UV_DEFAULT_INDEX": "https://nexus.internal/simple",
        "NPM_CONFIG_REGISTRY": "nexus.internal:8443",
    }
    assert indexes(environ, own) == {
        "PIP_INDEX_URL": "https://nexus.internal:8443/simple",
        "PIP_EXTRA_INDEX_URL": "http://old.internal/simple",
        "GOPROXY": "https://nexus.internal:8443/go",
    }
