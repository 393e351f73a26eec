"""The one message with which a server does not start: the cause by its evidence, the fix for this machine."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bot.sandbox import canary, probe
from bot.sandbox.advice import APPARMOR_PROFILE, WALLS, advise, refusal
from bot.sandbox.evidence import Evidence, gather

HERE = Evidence(bwrap="/usr/bin/bwrap", distribution=("debian",))
NAMESPACES = ("bwrap: it does not start: bwrap: No permissions to create new namespace, likely because",)
UBUNTU = replace(
    HERE,
    distribution=("ubuntu", "debian"),
    apparmor_userns=1,
    problems=("bwrap: it does not start: bwrap: setting up uid map: Permission denied",),
)


def test_the_whole_message() -> None:
    assert refusal("medium", "none", UBUNTU) == snapshot("""\
No sandbox of level `medium` holds on this machine (found: `none`), so nothing is started: agents and tests would run with the rights of the bot itself.
Missing: user namespaces: AppArmor keeps them from programs without a profile (Ubuntu 23.10 and later).
Fix: Write this to `/etc/apparmor.d/bwrap` and run `apparmor_parser -r /etc/apparmor.d/bwrap`:

abi <abi/4.0>,
include <tunables/global>
profile bwrap /usr/bin/bwrap flags=(unconfined) {
  userns,
  include if exists <local/bwrap>
}

To go on without isolation all the same, on a machine that holds nothing else, set `GITWRIGHT_SANDBOX=none`: agents and tests run with the bot's own rights then, for private repositories and their maintainers only.
It said: bwrap: it does not start: bwrap: setting up uid map: Permission denied\
""")


@pytest.mark.parametrize(
    ("seen", "missing", "fix"),
    [
        (Evidence(platform="darwin"), "needs Linux; this is macOS", "GITWRIGHT_CONTAINER=podman"),
        (Evidence(distribution=("debian",)), "bubblewrap", "apt-get install bubblewrap"),
        (Evidence(distribution=("fedora",)), "bubblewrap", "dnf install bubblewrap"),
        (Evidence(distribution=("nixos",)), "bubblewrap", "Install bubblewrap 0.8"),
        (
            replace(HERE, problems=("bwrap: it does not start: bwrap: Unknown option --disable-userns",)),
            "bubblewrap 0.8 or later",
            "newer",
        ),
        (replace(HERE, userns_clone=0), "unprivileged_userns_clone` is 0", "unprivileged_userns_clone=1"),
        (replace(HERE, max_user_namespaces=0), "max_user_namespaces` is 0", "/etc/sysctl.d/"),
        (
            replace(HERE, container="docker", problems=NAMESPACES),
            "seccomp profile of docker",
            "seccomp=unconfined",
        ),
        (replace(HERE, container="podman", problems=NAMESPACES), "seccomp profile of podman", "unmask=ALL"),
        (replace(HERE, container="kubernetes", problems=NAMESPACES), "of kubernetes", "hostUsers: false"),
        (UBUNTU, "AppArmor", APPARMOR_PROFILE),
        (replace(HERE, systemd=True, problems=NAMESPACES), "the service", "RestrictNamespaces="),
        (replace(HERE, problems=NAMESPACES), "this user may not", "outside of containers"),
        (replace(HERE, problems=("bwrap (medium): network",)), "there is a network", "Report this"),
        (replace(HERE, problems=("bwrap: it does not start: code 7",)), "starts", "bubblewrap says"),
    ],
)
def test_each_cause_is_recognized_by_what_was_seen(seen: Evidence, missing: str, fix: str) -> None:
    found = advise("medium", "none", seen)
    assert missing in found.missing
    assert fix in found.fix


def test_a_weaker_level_is_told_with_what_would_make_it_stronger() -> None:
    found = advise("strong", "medium", replace(HERE, systemd=True))
    assert "`medium` is reached" in found.missing
    assert "Delegate=yes" in found.fix
    assert "GITWRIGHT_SANDBOX=medium" in found.fix


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ("There is no image `x` here, which GITWRIGHT_CONTAINER_IMAGE names", "the image"),
        ("There is no program `podman`, which GITWRIGHT_CONTAINER names", "the program"),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?", "the daemon"),
        ("unbounded-processes", "limits on containers"),
        ("crun: cgroups in hybrid mode not supported", "limits on containers"),
        ("anything else", "a container of `podman` that holds"),
    ],
)
def test_where_containers_were_asked_for_only_they_are_told_of(said: str, missing: str) -> None:
    seen = Evidence(back_end="podman", problems=(said,))
    assert missing in advise("medium", "none", seen).missing


def test_this_machine_can_be_looked_at() -> None:
    seen = gather(("x",), "podman")
    assert (seen.problems, seen.back_end) == (("x",), "podman")
    assert re.fullmatch(r"linux|darwin", seen.platform)
    assert refusal("strong", "none", seen).count("Missing:") == 1


def test_every_word_of_the_canary_has_a_sentence() -> None:
    words = set(
        re.findall(r'(?m)^ *(?:yield|said.append\()\W?"([a-z-]+)"', Path(canary.__file__).read_text())
    )
    words |= set(re.findall(r'said\.append\("([a-z-]+)"\)', Path(probe.__code__.co_filename).read_text()))
    assert words == set(WALLS)
