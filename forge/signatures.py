"""Signatures of commits: the forge signs what it makes for an App or on its pages, as GitHub does, and knows its own.

Nobody checks the text of a signature: a commit is verified if the forge wrote down that it signed it.
"""

import base64
import hashlib
from typing import TYPE_CHECKING

from forge.errors import JsonDict
from forge.git import Bare

if TYPE_CHECKING:
    from forge.state import Forge

UNSIGNED = {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}


def sign(forge: "Forge", bare: Bare, sha: str) -> str:
    """The id of the same commit with the forge's signature in it."""
    payload = bare.run("cat-file", "commit", sha)
    digest = base64.b64encode(hashlib.sha256(payload).digest()).decode()
    signature = f"-----BEGIN PGP SIGNATURE-----\n\n{digest}\n-----END PGP SIGNATURE-----"
    head, _, message = payload.partition(b"\n\n")
    header = b"gpgsig " + signature.replace("\n", "\n ").encode()
    raw = head + b"\n" + header + b"\n\n" + message
    signed = bare.run("hash-object", "-t", "commit", "-w", "--stdin", stdin=raw).decode().strip()
    forge.db.run(
        "INSERT OR IGNORE INTO signed_commits (sha, signature, payload, verified_at) VALUES (?, ?, ?, ?)",
        signed,
        signature,
        payload.decode(errors="replace"),
        forge.now(),
    )
    return signed


def verified(forge: "Forge", sha: str) -> bool:
    """Whether the forge itself signed a commit; it knows nobody else's keys."""
    return forge.db.one("SELECT sha FROM signed_commits WHERE sha = ?", sha) is not None


def verification(forge: "Forge", sha: str) -> JsonDict:
    """`verification` of a commit as GitHub shows it."""
    row = forge.db.one("SELECT * FROM signed_commits WHERE sha = ?", sha)
    if row is None:
        return UNSIGNED
    shown = {name: row[name] for name in ("signature", "payload", "verified_at")}
    return {"verified": True, "reason": "valid", **shown}
