"""What a new forge holds before anybody uses it: the users `ghost`, `web-flow`, `maintainer`, and a site token."""

from typing import TYPE_CHECKING

from forge import tokens

if TYPE_CHECKING:
    from forge.state import Forge

MAINTAINER = "maintainer"

# GitHub's labels of a new repository.
LABELS = (
    ("bug", "d73a4a", "Something isn't working"),
    ("documentation", "0075ca", "Improvements or additions to documentation"),
    ("duplicate", "cfd3d7", "This issue or pull request already exists"),
    ("enhancement", "a2eeef", "New feature or request"),
    ("good first issue", "7057ff", "Good for newcomers"),
    ("help wanted", "008672", "Extra attention is needed"),
    ("invalid", "e4e669", "This doesn't seem right"),
    ("question", "d876e3", "Further information is requested"),
    ("wontfix", "ffffff", "This will not be worked on"),
)


def seed(forge: "Forge") -> str:
    """Creates the first users once, and returns the maintainer's token, the same at every start."""
    with forge.db.tx():
        if forge.user("ghost") is None:
            forge.db.run(
                "INSERT INTO users (id, login, type, created_at) VALUES (?, 'ghost', 'User', ?)",
                tokens.GHOST,
                forge.now(),
            )
            forge.db.run(
                "INSERT INTO users (login, type, created_at) VALUES ('web-flow', 'User', ?)", forge.now()
            )
        maintainer = forge.user(MAINTAINER)
        if maintainer is None:
            add_user(forge, MAINTAINER, site_admin=True)
            maintainer = forge.user(MAINTAINER)
    assert maintainer is not None
    file = forge.data / "token"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(tokens.mint_personal(forge, maintainer["id"]))
    return file.read_text().strip()


def add_user(forge: "Forge", login: str, *, kind: str = "User", site_admin: bool = False) -> int:
    """A new person; the e-mail address is one that no mail reaches."""
    return forge.db.run(
        "INSERT INTO users (login, type, name, email, site_admin, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        login,
        kind,
        login,
        f"{login}@users.noreply.github.com",
        int(site_admin),
        forge.now(),
    )
