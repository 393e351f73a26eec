"""The 35 attacks on a host that runs git where an agent worked, and the control: each succeeds against a naive layout, none against ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bot.sandbox import BwrapSandbox
from tests.git.attacks.beyond import BEYOND
from tests.git.attacks.both import in_both
from tests.git.attacks.cases import CASES, Attack
from tests.git.attacks.field import Naive, Ours

# The known ones run always; those beyond them in the long suite.
_ALL = [
    *(pytest.param(attack, id=attack.id) for attack in CASES),
    *(pytest.param(attack, id=attack.id, marks=pytest.mark.long) for attack in BEYOND),
]


@pytest.mark.parametrize("attack", _ALL)
async def test_an_attack_that_works_on_a_naive_host_fails_on_ours(
    attack: Attack,
    naive: Naive,
    ours: Ours,
    seeded: Path,
    sandbox: BwrapSandbox,
    record_property: Callable[[str, object], None],
) -> None:
    await in_both(attack, naive, ours, seeded, sandbox, record_property)


def test_every_known_attack_is_there() -> None:
    assert [attack.id for attack in CASES] == [f"a{number:02}" for number in range(36)]
    assert {attack.id for attack in CASES if attack.naive_stops} == {"a00", "a20", "a34"}
