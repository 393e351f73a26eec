"""In a box with walls the gateway is the only way out: what it leads to is reached, and nothing else is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bot.gateway.egress import EGRESS_PORT, egress
from bot.ports import SandboxPolicy
from tests.gateway.outside import PUBLIC, Dial, Names, serving
from tests.gateway.test_counting import gated
from tests.gateway.test_egress import HOST, curl, direct, world
from tests.support.walls import walls


async def test_a_walled_box_reaches_a_listed_host_and_its_model_and_nothing_beside(tmp_path: Path) -> None:
    sandbox = await walls()
    for name in ("work", "home", "way"):
        (tmp_path / name).mkdir()
    names = Names({HOST: [(PUBLIC,)]})
    with serving(HOST, tmp_path / "way") as server:
        authority = "/run/authority.pem"
        async with (
            gated(tmp_path / "way", "chat") as (gateway, _, model),
            egress(tmp_path / "way", hosts=[HOST], resolve=names, outside=world(Dial(server.port))) as way,
        ):
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            policy = SandboxPolicy(
                tmp_path / "work",
                tmp_path / "home",
                outlets=(gateway.outlet,),
                readable={server.authority: authority},
                path=path,
            )
            async with sandbox.open(way.shown(policy)) as box:
                assert box.address(way.outlet) == f"127.0.0.1:{EGRESS_PORT}"
                trusting = ("--cacert", authority)
                assert await curl(box, *trusting, f"https://{HOST}/") == (0, "hello")
                code, said = await curl(box, *trusting, "https://other.example.org/")
                assert (code, "403" in said) == (56, True), said
                # Without the proxy there is no way: not to the server itself, and no name.
                straight = (*trusting, "--noproxy", "*")
                here = f"https://{HOST}:{server.port}/"
                to = ("--resolve", f"{HOST}:{server.port}:127.0.0.1")
                assert (await curl(box, *straight, *to, here))[0] == 7
                assert (await curl(box, *straight, f"https://{HOST}/"))[0] == 6
                asked = f"http://{box.address(gateway.outlet)}/models"
                token = ("-H", f"Authorization: Bearer {gateway.token}")
                assert '"m1"' in (await curl(box, *token, asked))[1]
                everything = await box.run(("sh", "-c", "env; cat /proc/1/environ"), timeout=60)
                assert "sk-real" not in everything.output
            async with sandbox.open(policy) as box:  # without `egress`
                assert (await curl(box, *trusting, f"https://{HOST}/"))[0] == 6
            assert len(server.seen) == 1
            assert "hello" in await direct(server)  # it was there all the time, for whoever has no walls
    assert way.refused == ("other.example.org",)
    assert model.requests == []
