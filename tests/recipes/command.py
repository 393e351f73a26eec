"""Run in a copy with the command of docs/adding/command.md: table, help, permission, answer."""

from datetime import UTC, datetime

from bot.core.actions import PostComment, React
from bot.core.config import RepoConfig
from bot.core.events import CommentCreated
from bot.core.ids import TrackId
from bot.core.track import Frozen, TaskTrack, Track
from bot.core.values import Actor, Repo, Role
from handlers import issue_comment
from handlers.calling import Given
from handlers.commands import COMMANDS, tasks, valid_now

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REPO = Repo(7, "o", "r", "main", True)
TRACK = Track(
    id=TrackId("issue-1"),
    repo=REPO,
    issue=1,
    frozen=Frozen(title="t", body="b", comments=(), sha256="", by="p"),
    config=RepoConfig(),
    started_at="2026-01-01T00:00:00Z",
    state="working",
    tasks=(TaskTrack(id="T-1", title="Say goodbye"),),
)


def said(body: str, role: Role, track: Track | None = TRACK) -> tuple[str, str]:
    """Give the reaction to a comment, and the answer."""
    event = CommentCreated(repo=REPO, number=1, is_pull=False, comment=5, body=body, author=Actor(3, "p"))
    facts = issue_comment.Facts(issue_comment.find(event), Given(role=role))
    react, post, *done = issue_comment.decide(track, event, facts, NOW).actions
    assert isinstance(react, React)
    assert isinstance(post, PostComment)
    assert [each.content for each in done] == (["rocket"] if react.content == "eyes" else [])
    return react.content, post.body


assert tasks.COMMAND in COMMANDS
assert ("/agent tasks", "Lists the tasks.") in valid_now(TRACK)
assert ("/agent tasks", "Lists the tasks.") not in valid_now(None)

reaction, text = said("/agent tasks", "write")
assert reaction == "eyes"
assert "| `T-1` | Say goodbye |" in text
assert text.startswith("<!-- gitwright:answer track=issue-1 -->\n<!-- gitwright-key: comment-5 -->\n")
assert "`/agent tasks` means nothing now" in said("/agent tasks", "write", None)[1]

reaction, text = said("/agent tasks", "none")
assert reaction == "confused"
assert "`/agent tasks` needs the role `write` here; yours is `none`." in text

row = "| `/agent tasks` | Lists the tasks. | `write` | `/agent tasks` |"
assert row in said("/agent help", "write")[1]
assert "Did you mean `/agent tasks`?" in said("/agent task", "write")[1]
print("done")
