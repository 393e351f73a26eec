"""Octokit, GitHub's own JavaScript client, works with the forge and accepts its signatures."""

from pathlib import Path

import pytest

from tests.judges import octokit
from tests.judges.openapi import Judge
from tests.judges.receiver import receiving
from tests.judges.webhooks import WebhookJudge
from tests.judges.world import OWNER, call, world


def test_octokit_calls_pages_and_verifies(tmp_path: Path, judge: Judge, webhook_judge: WebhookJudge) -> None:
    if reason := octokit.PACKAGES.missing():
        pytest.skip(reason)
    with (
        receiving() as receiver,
        world(tmp_path / "forge", judge, webhook_judge, receiver.url) as everybody,
    ):
        call(everybody.admin, "POST", f"{everybody.repo}/issues", 201, json={"title": "Ünïcode"})
        receiver.wait(lambda delivery: delivery.event == "issues")
        everybody.forge.settle()
        deliveries = list(receiver.deliveries)
        seen = octokit.run(
            {
                "url": everybody.forge.url,
                "token": everybody.forge.token,
                "owner": OWNER,
                "repo": "walk",
                "app": {"id": everybody.app_id, "pem": everybody.pem},
                "secret": everybody.webhook_secret,
                "deliveries": [{"headers": each.headers, "body": each.body.decode()} for each in deliveries],
            }
        )
    person, app = seen["person"], seen["app"]
    assert person["login"] == OWNER
    assert person["labels"] == ["bug"]
    assert person["comments"] == ["comment 0", "comment 1", "comment 2"]
    assert person["missing"] == {"name": "HttpError", "status": 404}
    assert person["file"] == "octokit.txt"
    assert app["slug"] == everybody.slug
    assert app["repositories"] == [f"{OWNER}/walk"]
    assert app["comment"] == {"author": f"{everybody.slug}[bot]", "app": everybody.slug}
    assert "issues.opened" in app["handled"]
    assert app["genuine"] == [True] * len(deliveries)
    assert app["forged"] == [False] * len(deliveries)
