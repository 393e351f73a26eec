"""Owns what an address says about itself: is it open to others, can a forge send there?"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from bot.proxies import is_loopback


def in_the_clear(address: str) -> bool:
    """Tell whether others on the way can read what is sent to this address, a token or a key's signature among it."""
    parts = urlsplit(address)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def reaches(api: str, host: str) -> bool:
    """Tell whether the forge whose API is at `api` can send events to `host`, as far as the addresses tell."""
    forge = urlsplit(api).hostname or ""
    if is_loopback(host):
        return is_loopback(forge)
    if forge != "api.github.com" and not forge.endswith(".ghe.com"):
        return True  # a forge in a network of one's own
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".local", ".internal", ".lan"))
