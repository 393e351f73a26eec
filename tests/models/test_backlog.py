"""The backlog model: it may sharpen words, and nothing that it may not change changes."""

from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from bot.core.backlog import Backlog, BacklogTask, Scope
from bot.core.planning import MergedPlan
from bot.core.plans import PlannedTask
from bot.models import BacklogModel

# Nobody sells the model of a test.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic_ai.exceptions.CostNotFoundWarning")

CONVERTED = Backlog(
    track="issue-1",
    issue=1,
    base_sha="f" * 40,
    tasks=tuple(
        BacklogTask(
            id=id_, title=f"Title {id_}", acceptance=("Done.",), scope=Scope(paths=("a.py",)), votes=3
        )
        for id_ in ("T-1", "T-2")
    ),
)


def a_task(id_: str, **more: Any) -> dict[str, Any]:
    shown = {"id": id_, "title": f"Sharper {id_}", "kind": "simple", "priority": "high", "estimate": "S"}
    return {**shown, "paths": ["src/a.py"], "acceptance": ["It returns `self`."], **more}


class Answers:
    """Gives one answer after the other, and counts."""

    def __init__(self, *answers: list[dict[str, Any]]) -> None:
        self.answers = answers
        self.asked: list[list[ModelMessage]] = []

    def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.asked.append(list(messages))
        tasks = self.answers[min(len(self.asked), len(self.answers)) - 1]
        return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, {"tasks": tasks})])


async def test_words_are_sharpened_and_the_rest_stays() -> None:
    answers = Answers([a_task("T-1"), a_task("T-2", depends_on=["T-1"])])
    refined = await BacklogModel([FunctionModel(answers)]).refine(MergedPlan(summary="S"), CONVERTED)
    assert refined.problem == ""
    assert refined.backlog is not None
    first, second = refined.backlog.tasks
    assert (first.title, first.scope.paths, first.votes) == ("Sharper T-1", ("src/a.py",), 3)
    assert second.depends_on == ("T-1",)
    assert refined.backlog.base_sha == CONVERTED.base_sha
    assert refined.usage.requests == 1


async def test_an_invalid_backlog_is_sent_back_once_with_its_problems() -> None:
    cyclic = [a_task("T-1", depends_on=["T-2"]), a_task("T-2", depends_on=["T-1"])]
    answers = Answers(cyclic, [a_task("T-1"), a_task("T-2")])
    refined = await BacklogModel([FunctionModel(answers)]).refine(MergedPlan(), CONVERTED)
    assert refined.backlog is not None
    assert "not valid" in str(answers.asked[1][-1].parts[0])


async def test_what_stays_invalid_is_nothing_usable() -> None:
    answers = Answers([a_task("T-1")])
    refined = await BacklogModel([FunctionModel(answers)]).refine(MergedPlan(), CONVERTED)
    assert refined.backlog is None
    assert "no usable answer" in refined.problem
    assert len(answers.asked) == 2


async def test_a_title_that_breaks_the_contract_is_sent_back() -> None:
    answers = Answers([a_task("T-1", title="x" * 90), a_task("T-2")], [a_task("T-1"), a_task("T-2")])
    refined = await BacklogModel([FunctionModel(answers)]).refine(MergedPlan(), CONVERTED)
    assert refined.backlog is not None
    assert len(answers.asked) == 2


async def test_a_note_is_worked_in_knowing_what_the_plan_left_out() -> None:
    answers = Answers([a_task("T-1"), a_task("T-2"), a_task("T-3", title="Cache the answers")])
    left_out = PlannedTask(key="cache", title="Cache the answers", files=("src/cache.py",))
    model = BacklogModel([FunctionModel(answers)])
    refined = await model.revise(CONVERTED, "Include the cache.", 1, [left_out])
    assert refined.backlog is not None
    assert [task.id for task in refined.backlog.tasks] == ["T-1", "T-2", "T-3"]
    asked = str(answers.asked[0][-1].parts[0])
    assert "Include the cache." in asked
    assert '"files":["src/cache.py"]' in asked


async def test_a_note_on_a_plan_that_left_nothing_out_speaks_of_nothing_left_out() -> None:
    answers = Answers([a_task("T-1")])
    refined = await BacklogModel([FunctionModel(answers)]).revise(CONVERTED, "Only the first.", 1)
    assert refined.backlog is not None
    assert [task.id for task in refined.backlog.tasks] == ["T-1"]
    assert "Left out of the backlog" not in str(answers.asked[0][-1].parts[0])
