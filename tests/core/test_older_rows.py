"""Rows that an older version stored: what is no longer there is left aside, and nothing else is lost."""

from __future__ import annotations

from dataclasses import replace

from bot.core.actions import ACTIONS, AssessTask
from bot.core.evidence import Evidence
from bot.core.track import TRACKS
from tests.core.builders import SHA, a_task, a_track


def test_an_action_that_names_failed_checks_is_read_without_them() -> None:
    action = AssessTask(task="T-1", attempt=1, head_sha=SHA)
    assert (
        ACTIONS.validate_python({**ACTIONS.dump_python(action, mode="json"), "failing": ["lint"]}) == action
    )


def test_evidence_that_names_its_decision_is_read_without_it() -> None:
    track = a_track(replace(a_task(), evidence=(Evidence(attempt=1, failing=("lint",)),)))
    stored = TRACKS.dump_python(track, mode="json")
    stored["tasks"][0]["evidence"][0]["decision"] = "regenerate"
    assert TRACKS.validate_python(stored) == track
