"""What `gitwright implement` calls done."""

import pytest

from bot.core.track import TaskState, TaskTrack
from bot.core.values import Usage
from bot.local.outcome import Outcome


@pytest.mark.parametrize(("state", "good"), [("done", True), ("dropped", True), ("reverted", False)])
def test_a_task_that_was_set_back_to_todo_is_not_done(state: TaskState, good: bool) -> None:
    tasks = (TaskTrack(id="T-1", title="One", state="done"), TaskTrack(id="T-2", title="Two", state=state))
    end = Outcome("done", "", tasks, (), (), (), {}, {}, Usage(), 2)
    assert end.good is good
