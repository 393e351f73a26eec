"""Refusals of pushes in the words of GitHub, from its documentation and from threads about them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from bot.core import push_refusals

SAID = {
    "signatures": (
        "remote: error: GH013: Repository rule violations found for refs/heads/agent/x.\n"
        "remote: Review all repository rules at https://github.com/o/r/rules?ref=refs%2Fheads%2Fagent%2Fx\n"
        "remote: \nremote: - Commits must have verified signatures.\nremote:   Found 1 violation:\nremote: \n"
        "remote:   0123456789012345678901234567890123456789\nremote: \n"
        "To https://github.com/o/r.git\n ! [remote rejected] x -> x (push declined due to repository rule violations)\n"
    ),
    "protected": (
        "remote: error: GH006: Protected branch update failed for refs/heads/agent/x.\n"
        "remote: error: Cannot force-push to this branch\n"
        " ! [remote rejected] x -> x (protected branch hook declined)\n"
    ),
    "workflow": (
        " ! [remote rejected] x -> x (refusing to allow a GitHub App to create or update workflow "
        "`.github/workflows/ci.yml` without `workflows` permission)\n"
    ),
    "large": (
        "remote: error: Trace: 0\nremote: error: See https://gh.io/lfs for more information.\n"
        "remote: error: File big.bin is 123.00 MB; this exceeds GitHub's file size limit of 100.00 MB\n"
        "remote: error: GH001: Large files detected. You may want to try Git Large File Storage.\n"
    ),
    "secret": (
        "remote: error: GH013: Repository rule violations found for refs/heads/agent/x.\nremote: \n"
        "remote: - GITHUB PUSH PROTECTION\nremote:     - Push cannot contain secrets\n"
        "remote:       \u2014\u2014 GitHub Personal Access Token \u2014\u2014\nremote:          - commit: abc\n"
    ),
    "api": "Repository rule violations found\n\nCannot update this protected ref.\n\n",
    "archived": "remote: This repository was archived so it is read-only.\nfatal: unable to access 'u': 403",
    "denied": "remote: Permission to o/r.git denied to app[bot].\nfatal: unable to access 'u': 403",
    "hook": "remote: policy 7: no\n ! [remote rejected] x -> x (pre-receive hook declined)",
}


def test_each_refusal_is_known_by_its_rule() -> None:
    found = {name: push_refusals.read(said) for name, said in SAID.items()}
    assert {name: seen.rule if seen else None for name, seen in found.items()} == snapshot(
        {
            "signatures": "branch rules: Commits must have verified signatures.",
            "protected": "branch protection: Cannot force-push to this branch",
            "workflow": "changes of workflow files need the permission `workflows`, which this App does not ask for",
            "large": "a file is larger than the forge takes",
            "secret": "secret scanning push protection",
            "api": "branch rules: Cannot update this protected ref.",
            "archived": "the repository is archived",
            "denied": "the App may not write contents here",
            "hook": "a hook of the forge",
        }
    )
    assert [name for name, seen in found.items() if seen and seen.unsigned] == ["signatures"]


@pytest.mark.parametrize(
    "said",
    [
        "",
        "fatal: unable to access 'https://x/': Could not resolve host: x",
        "! refs/heads/x:refs/heads/x [rejected] (stale info)",
        "fatal: unable to access 'u': The requested URL returned error: 503",
    ],
)
def test_what_is_no_rule_is_none(said: str) -> None:
    assert push_refusals.read(said) is None


@given(st.text(max_size=300), st.sampled_from(sorted(SAID)))
def test_whatever_else_is_said_the_words_are_bounded(noise: str, name: str) -> None:
    found = push_refusals.read(noise + "\n" + SAID[name] * 20)
    assert found is not None
    assert len(found.said) <= push_refusals.LINES
    assert all(len(line) <= push_refusals.LONGEST for line in found.said)
