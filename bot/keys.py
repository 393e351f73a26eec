"""Owns what a usable private key of a GitHub App is."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def key_problems(pem: str) -> list[str]:
    """Say what is wrong with an App's private key, without showing it; nothing where it can be used."""
    if "PRIVATE KEY-----" not in pem:
        return ["is no PEM private key (-----BEGIN ... PRIVATE KEY-----)"]
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        return ["is not a usable private key: damaged, cut off, or locked with a pass phrase"]
    return [] if isinstance(key, RSAPrivateKey) else ["is not an RSA key, as those of GitHub Apps are"]
