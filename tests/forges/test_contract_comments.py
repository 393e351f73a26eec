"""What every forge adapter promises of a single comment, held against a real, running forge."""

from bot.core.values import Repo
from bot.ports import Forge
from tests.forges.conftest import MARKER, RunningForge


async def test_one_comment_is_read_by_its_id_and_a_deleted_one_is_none(
    forge: Forge, server: RunningForge, repo: Repo
) -> None:
    number = server.issue(repo.slug)
    made = await forge.create_comment(repo, number, f"{MARKER}\nHello")
    found = await forge.comment(repo, made)
    assert found is not None
    assert (found.id, found.body, found.author.id) == (
        made,
        f"{MARKER}\nHello",
        next(iter(await forge.bot_ids(repo))),
    )
    assert await forge.comment(repo, made + 1_000) is None
