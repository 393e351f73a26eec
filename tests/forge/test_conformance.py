"""Every operation that the forge serves is walked through and held against GitHub's descriptions."""

import re
from dataclasses import dataclass

import pytest
from starlette.routing import Route

from forge.routes import routers
from tests.judges import models
from tests.judges.openapi import Judge
from tests.judges.operations import EVENTS, OPERATIONS, Operation
from tests.judges.record import Record
from tests.judges.walk import SUBJECTS
from tests.judges.webhooks import WebhookJudge
from tests.judges.world import NOWHERE, world

# Routes without an operation of their own in GitHub's description.
NOT_JUDGED = {
    ("GET", "/repos/{}/{}/contents"),  # the contents of the root: `/contents/{path}` without a path
    ("GET", "/repos/{}/{}/branches/{}/protection"),  # always 404: no branch is protected
    ("GET", "/repositories/{}"),  # GitHub serves it and does not describe it
    ("GET", "/zen"),
    ("POST", "/graphql"),  # judged by GitHub's schema and by `gh`
}


@dataclass(frozen=True, slots=True)
class Walked:
    """What came of the walk: the judge that watched it, and the subjects that failed."""

    judge: Judge
    failures: dict[str, AssertionError]

    @property
    def record(self) -> Record:
        return self.judge.record


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory, judge: Judge) -> Walked:
    """One walk through all subjects; its record counts for the run as well."""
    own = Walked(Judge(), {})
    data = tmp_path_factory.mktemp("conformance") / "forge"
    with world(data, own.judge, WebhookJudge(own.record), NOWHERE) as everybody:
        for subject, walk in SUBJECTS.items():
            try:
                walk(everybody)
            except AssertionError as error:
                own.failures[subject] = error
    judge.record.merge(own.record)
    return own


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_forge_does_what_github_documents(walked: Walked, subject: str) -> None:
    if subject in walked.failures:
        raise walked.failures[subject]


def test_no_answer_and_no_delivery_differs_from_githubs_descriptions(walked: Walked) -> None:
    assert sorted({str(violation) for violation in walked.record.violations}) == []


def test_every_operation_was_judged_with_success(walked: Walked) -> None:
    assert [str(each) for each in OPERATIONS if not walked.record.operations[str(each)]] == []


def test_every_event_was_judged_with_success(walked: Walked) -> None:
    assert [event for event in EVENTS if not walked.record.events[event]] == []


def test_githubkit_reads_an_answer_of_every_operation(walked: Walked) -> None:
    rejected = {
        str(operation): found
        for operation, body in walked.judge.samples.items()
        if (found := models.problems(walked.judge.operation_id(operation), body))
    }
    assert rejected == {}


def test_the_table_of_operations_holds_every_route_of_the_forge() -> None:
    served = {
        (method, _anonymous(route.path))
        for router in routers()
        for route in router.routes
        if isinstance(route, Route) and not route.path.startswith("/_test/")
        for method in route.methods or ()
    }
    assert served - NOT_JUDGED == {(each.method, _anonymous(each.path)) for each in OPERATIONS}


def test_the_second_judge_knows_every_operation() -> None:
    judge = Judge()
    read = {each for each in OPERATIONS if models.model_of(judge.operation_id(each)) is not None}
    assert Operation("GET", "/user") in read
    assert len(read) > len(OPERATIONS) / 2
    body = b'{"id": "one"}'
    assert "name: Field required" in models.problems("issues/get-label", body)


def _anonymous(path: str) -> str:
    """A path template without the names of its parameters, which are each side's own."""
    return re.sub(r"\{[^}]+\}", "{}", path)
