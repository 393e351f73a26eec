"""The packet's slot for what the spec adds and what was learned before: one share, whole lines, nothing lost unsaid."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from bot.core.packet import LESSONS_SHARE, ContextCompressor, Packet, PacketInput


def packed(constraints: tuple[str, ...], lessons: tuple[str, ...] = ()) -> Packet:
    packet = ContextCompressor().compress(
        PacketInput(
            title="Greet", acceptance=("It greets.",), constraints=constraints, lessons=lessons, spec=3
        )
    )
    assert isinstance(packet, Packet)
    return packet


def test_a_packet_names_the_version_of_the_spec_and_puts_it_before_lessons() -> None:
    packet = packed(("`lint` must pass.", "Keep it short."), ("Run the slow tests.",))
    assert packet.text == snapshot("""\
# Greet

Done when:
- It greets.


From version 3 of the spec:
- `lint` must pass.
- Keep it short.

Learned before:
- Run the slow tests.
""")


@given(st.lists(st.text(min_size=1, max_size=200), max_size=8), st.lists(st.text(min_size=1, max_size=200), max_size=8))  # fmt: skip
def test_constraints_and_lessons_share_one_slot(constraints: list[str], lessons: list[str]) -> None:
    packet = packed(tuple(constraints), tuple(lessons))
    without = packed(())
    left_out = packet.text.rpartition("Left out: ")[1:] if packet.omitted else ("",)
    taken = packet.size - without.size - len("".join(left_out).encode())
    assert taken <= LESSONS_SHARE
    shown = sum(line.startswith("- ") for line in packet.text.split("\n")) - 1
    lost = sum(int(each.split()[0]) for each in packet.omitted)
    assert shown + lost == len(constraints) + len(lessons)


def test_words_too_long_for_the_slot_are_counted_and_shorter_ones_still_told() -> None:
    packet = packed(("x" * 500, "Keep it short."), ("Run the slow tests.",))
    assert "- Keep it short." in packet.text
    assert "- Run the slow tests." in packet.text
    assert packet.omitted == ("1 lines of the spec",)
