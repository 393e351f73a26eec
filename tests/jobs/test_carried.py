"""Which of a change's contents hold a secret of the broker's."""

from collections.abc import Mapping

from bot.core.secret_values import KIND
from bot.jobs.carried import carried

MARKS = (b"first-secret", b"second-secret")


class Asked:
    """Finds two secrets, and counts the questions."""

    def __init__(self) -> None:
        self.times = 0

    async def __call__(self, data: bytes) -> list[tuple[str, int]]:
        self.times += 1
        return [
            (f"s{n}", at)
            for n, mark in enumerate(MARKS)
            for at in range(len(data))
            if data.startswith(mark, at)
        ]


async def found(
    before: Mapping[str, bytes], after: Mapping[str, bytes], texts: Mapping[str, str]
) -> set[str]:
    secrets = await carried(Asked(), before, after, texts)
    assert all(kind == KIND for _, _, kind in secrets)
    return {f"{where}:{line}" for where, line, _ in secrets}


async def test_each_is_named_by_its_file_and_line() -> None:
    after = {"b": b"\nfirst-secret", "a": b"x", "c": b"second-secret\nfirst-secret", "d": b""}
    assert await found({}, after, {"m": "a\nb second-secret"}) == {"b:2", "c:1", "c:2", "m:2"}


async def test_what_the_base_has_anywhere_is_known_and_hides_no_other() -> None:
    before, after = {"old": b"first-secret"}, {"new": b"first-secret", "more": b"second-secret"}
    assert await found(before, after, {}) == {"more:1"}
    assert await found({"same": MARKS[0]}, {"same": MARKS[0]}, {}) == set()


async def test_no_secret_is_made_of_two_files_and_many_files_are_few_questions() -> None:
    ask = Asked()
    files = {f"{n:04}": b"x" * 50 for n in range(2_000)} | {"a": b"first-", "b": b"secret"}
    assert await carried(ask, {}, files, {}) == ()
    assert ask.times == 1
    large = dict.fromkeys("abcdef", b"y" * 400000)
    ask = Asked()
    assert await carried(ask, {}, {**large, "g": MARKS[0]}, {}) == (("g", 1, KIND),)
    assert ask.times == 3, "two at once, and the base has nothing to ask for"
