"""Planning with a model: the library's real loop, with a function in the model's place."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models import KnownModelName
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage

from bot.core.planning import PlanProposal, ProposedTask
from bot.errors import AgentError
from bot.models import DEFAULT_MODELS, ModelPlanner
from bot.models.planner import problem
from bot.models.run import ModelLimits
from bot.ports import PlanBrief, RunError

# Nobody sells the model of a test.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic_ai.exceptions.CostNotFoundWarning")

PLAN = {
    "agent_id": "me",
    "summary": "Do it.",
    "tasks": [{"local_id": "a", "title": "Fix", "files": ["a.py"]}],
}
Turn = Callable[[list[ModelMessage], AgentInfo], ModelResponse]


def answer(plan: dict[str, Any]) -> Turn:
    def turn(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, plan)])

    return turn


def call(tool: str, **args: Any) -> Turn:
    return lambda messages, info: ModelResponse(parts=[ToolCallPart(tool, args)])


class Script:
    """Answers turn by turn; the last turn repeats. Keeps what it was shown."""

    def __init__(self, *turns: Turn) -> None:
        self.turns = turns
        self.seen: list[list[ModelMessage]] = []

    def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.seen.append(list(messages))
        response = self.turns[min(len(self.seen), len(self.turns)) - 1](messages, info)
        response.usage = RequestUsage(input_tokens=100, output_tokens=10)
        return response

    def returned(self, turn: int) -> list[str]:
        parts = self.seen[turn][-1].parts
        return [str(part.content) for part in parts if isinstance(part, ToolReturnPart)]


@pytest.fixture
def brief(tmp_path: Path) -> PlanBrief:
    work, state = tmp_path / "work", tmp_path / "session"
    work.mkdir()
    state.mkdir()
    (work / "a.py").write_text("x = None\n", encoding="utf-8")
    return PlanBrief("tests", "Title", "Body", ("Words",), "f" * 40, ("a.py",), work, "planner-1", state)


async def propose(brief: PlanBrief, *models: Script, **limits: Any) -> PlanProposal:
    planner = ModelPlanner([FunctionModel(model) for model in models], ModelLimits(**limits))
    return (await planner.propose(brief)).proposal


async def test_a_plan_is_made_after_looking_around_and_the_session_remembers_each_turn(
    brief: PlanBrief,
) -> None:
    script = Script(call("search", text="none"), call("read_file", path="a.py"), answer(PLAN))
    proposed = await ModelPlanner([FunctionModel(script)]).propose(brief)
    assert proposed.proposal.tasks[0].files == ("a.py",)
    assert (proposed.proposal.agent_id, proposed.proposal.base_sha) == ("tests", "f" * 40)
    assert script.returned(1) == ["a.py:1: x = None"]
    assert script.returned(2) == ["1: x = None"]
    assert (proposed.usage.requests, proposed.usage.input_tokens) == (3, 300)
    lines = (brief.state_dir / "history.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["kind"] for line in lines[:5]] == ["request", "response"] * 2 + ["request"]


async def test_the_prompt_names_the_point_of_view_and_keeps_people_s_words_apart(brief: PlanBrief) -> None:
    script = Script(answer(PLAN))
    await propose(brief, script)
    prompt = str(script.seen[0][0].parts[0].content)  # type: ignore[union-attr]
    assert "Think of the proof first" in prompt
    assert "=\nBody\n=" in prompt


async def test_a_tool_that_refuses_says_why_and_the_planner_goes_on(brief: PlanBrief) -> None:
    script = Script(call("read_file", path="../secret"), answer(PLAN))
    await propose(brief, script)
    assert script.returned(1) == ["Refused: `../secret` is outside the repository"]


async def test_a_bad_answer_is_sent_back_with_what_is_wrong(brief: PlanBrief) -> None:
    bad = {**PLAN, "tasks": [{"local_id": "a", "title": "Fix", "files": ["a.py"], "depends_on": ["zz"]}]}
    script = Script(answer({"tasks": 7}), answer(bad), answer(PLAN))
    assert (await propose(brief, script)).summary == "Do it."
    assert "zz" in str(script.seen[2][-1].parts[0])


async def test_an_answer_that_stays_bad_is_garbage(brief: PlanBrief) -> None:
    with pytest.raises(AgentError) as caught:
        await propose(
            brief, Script(lambda messages, info: ModelResponse(parts=[TextPart("I would rather not.")]))
        )
    assert caught.value.reason == "garbage"


async def test_a_planner_that_never_ends_is_stopped_by_its_limits(brief: PlanBrief) -> None:
    with pytest.raises(AgentError) as caught:
        await propose(brief, Script(call("list_folder")), requests=5)
    assert caught.value.reason == "stall"


async def test_a_model_that_hangs_is_stopped_by_the_clock(brief: PlanBrief) -> None:
    async def hang(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        await asyncio.sleep(30)
        raise AssertionError

    planner = ModelPlanner([FunctionModel(hang)], ModelLimits(seconds=0.2))
    with pytest.raises(AgentError) as caught:
        await planner.propose(brief)
    assert caught.value.reason == "stall"


def broken(status: int) -> Script:
    from pydantic_ai.exceptions import ModelHTTPError

    def turn(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        raise ModelHTTPError(status, "some-model", {"key": "s3cret"})

    return Script(turn)


async def test_the_next_model_answers_where_the_first_is_out_of_quota(brief: PlanBrief) -> None:
    assert (await propose(brief, broken(429), Script(answer(PLAN)))).summary == "Do it."


@pytest.mark.parametrize(
    ("models", "reason"),
    [((broken(401),), "auth"), ((broken(400),), "crash"), ((broken(401), broken(400)), "crash")],
)
async def test_a_provider_that_refuses_is_told_without_its_words(
    brief: PlanBrief, models: tuple[Script, ...], reason: str
) -> None:
    with pytest.raises(AgentError) as caught:
        await propose(brief, *models)
    assert caught.value.reason == reason
    assert "s3cret" not in str(caught.value)


async def test_a_run_that_fails_says_what_it_cost(brief: PlanBrief) -> None:
    with pytest.raises(RunError) as caught:
        await propose(brief, Script(call("list_folder")), requests=3)
    assert (caught.value.usage.requests, caught.value.usage.input_tokens) == (3, 300)


async def test_a_model_without_a_key_is_left_out_and_alone_it_is_said(
    brief: PlanBrief, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    planner = ModelPlanner(["google:gemini-3.8-flash", FunctionModel(Script(answer(PLAN)))])
    assert (await planner.propose(brief)).proposal.summary == "Do it."
    with pytest.raises(AgentError, match="No model can be used") as caught:
        await ModelPlanner(["openai:gpt-6.1-terra", "nobody:nothing"]).propose(brief)
    assert caught.value.reason == "crash"


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (PlanProposal(agent_id="a"), "at least one task"),
        (PlanProposal(agent_id="a", questions=("Which?",)), None),
        (PlanProposal(agent_id="a", tasks=(ProposedTask(local_id="x", title="T"),)), "files"),
        (
            PlanProposal(agent_id="a", tasks=(ProposedTask(local_id="x", title="T", files=("f",)),) * 2),
            "twice",
        ),
        (PlanProposal(agent_id="a", tasks=(ProposedTask(local_id="x", title="T", files=("f",)),)), None),
    ],
)
def test_what_makes_a_plan_unusable_is_said(plan: PlanProposal, said: str | None) -> None:
    found = problem(plan)
    assert found is None if said is None else said in (found or "")


def test_the_default_models_are_known_to_the_pinned_library() -> None:
    known = set(get_args(KnownModelName.__value__))
    assert {name for names in DEFAULT_MODELS.values() for name in names} <= known
