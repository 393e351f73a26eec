"""Owns the way to an address: on this machine, straight, or through the proxy that the environment names."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from bot.errors import UserError

_PORTS = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Tell whether an address leads back to the machine that uses it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def proxy_for(url: str) -> str | None:
    """Give the proxy, as an address with its credentials, by which an http(s) address is reached; None: straight.

    By HTTPS_PROXY or HTTP_PROXY, else ALL_PROXY, unless NO_PROXY names the host or a domain that it is in; lower case
    wins. This machine is never reached through a proxy. Raises UserError where the variable names none that can be used.
    Source: docs.python.org, urllib.request.getproxies and ProxyHandler.
    """
    parts = urlsplit(url)
    host, scheme = parts.hostname or "", parts.scheme
    if scheme not in _PORTS or is_loopback(host):
        return None
    found = getproxies_environment()
    name = scheme if scheme in found else "all"
    proxy = found.get(name)
    # macOS has proxies of its own, too; where the environment names any, that alone is asked.
    if not proxy or proxy_bypass(f"{host}:{parts.port or _PORTS[scheme]}"):
        return None
    address = _whole(proxy)
    if _split(address) is None:
        raise UserError(
            f"{name.upper()}_PROXY, by which {host} would be reached, names no proxy that can be used: it must be an "
            "address such as http://HOST:PORT or https://USER:PASSWORD@HOST:PORT (%-encode what is special in them). "
            f"Mend it, or add {host} to NO_PROXY, and start again"
        )
    return address


def shown(proxy: str) -> str:
    """Give a proxy's address without its credentials."""
    parts = _split(proxy)
    return "" if parts is None else f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def secrets() -> tuple[str, ...]:
    """List what of the environment's proxies must never be shown: passwords, and a user's name where it is all there is."""
    found: list[str] = []
    for name, value in sorted(getproxies_environment().items()):
        userinfo, at, _ = _whole(value).partition("://")[2].rpartition("@")
        if name != "no" and at:
            user, colon, password = userinfo.partition(":")
            secret = password if colon else user
            found += [secret, unquote(secret)]
    return tuple(dict.fromkeys(filter(None, found)))


def hidden(text: str) -> str:
    """Give a text, such as what git says of a proxy, without the proxies' secrets."""
    for secret in sorted(secrets(), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _whole(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def _split(proxy: str) -> SplitResult | None:
    """Take a proxy's address apart; None where it is none."""
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in _PORTS and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if usable and proxy.isascii() and not any(char <= " " for char in proxy) else None
