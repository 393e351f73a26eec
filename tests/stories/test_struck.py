"""A fault that is drawn often and never strikes is told of: it would prove nothing."""

from tests.stories.struck import OFTEN, Tally, summed


def fault(kind: str, route: str, hits: int) -> dict[str, object]:
    return {"kind": kind, "route": route, "event": "", "hits": hits}


def test_what_was_drawn_often_and_struck_nowhere_is_named() -> None:
    tally = Tally()
    for seed in range(OFTEN):
        faults = [fault("cut", "GET /never", 0), fault("lost", "", int(seed == 0)), fault("cut", "GET /x", 1)]
        tally.stories.append(summed(seed, "REST", faults))
    assert tally.never() == ["GET /never"]
    tally.stories.pop()
    assert tally.never() == []
