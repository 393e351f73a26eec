"""What other emulators get wrong about issues, labels, comments and reactions."""

from tests.judges.world import World, call, refused


def test_an_unknown_label_is_created_when_it_is_set(everybody: World) -> None:
    issue = call(everybody.admin, "POST", f"{everybody.repo}/issues", 201, json={"title": "Labels"})
    call(
        everybody.bot,
        "POST",
        f"{everybody.repo}/issues/{issue['number']}/labels",
        json={"labels": ["brand-new"]},
    )
    assert call(everybody.bot, "GET", f"{everybody.repo}/labels/brand-new")["color"] == "ededed"


def test_removing_a_label_that_the_issue_does_not_have_is_404(everybody: World) -> None:
    issue = call(everybody.admin, "POST", f"{everybody.repo}/issues", 201, json={"title": "No labels"})
    path = f"{everybody.repo}/issues/{issue['number']}/labels/bug"
    assert refused(everybody.bot, "DELETE", path, 404) == "Label does not exist"


def test_a_label_that_exists_is_not_created_again(everybody: World) -> None:
    answer = call(everybody.admin, "POST", f"{everybody.repo}/labels", 422, json={"name": "BUG"})
    assert answer["errors"][0]["code"] == "already_exists"


def test_a_repeated_reaction_is_answered_with_200_and_the_first_one(everybody: World) -> None:
    issue = call(everybody.admin, "POST", f"{everybody.repo}/issues", 201, json={"title": "Reactions"})
    path = f"{everybody.repo}/issues/{issue['number']}/reactions"
    first = call(everybody.bot, "POST", path, 201, json={"content": "rocket"})
    assert call(everybody.bot, "POST", path, 200, json={"content": "rocket"}) == first
    call(everybody.alice, "POST", path, 201, json={"content": "rocket"})
    call(everybody.bot, "POST", path, 422, json={"content": "banana"})


def test_a_body_is_at_most_65536_characters_long(everybody: World) -> None:
    longest, issues = "ä" * 65_536, f"{everybody.repo}/issues"
    issue = call(everybody.admin, "POST", issues, 201, json={"title": "Long", "body": longest})
    comments = f"{issues}/{issue['number']}/comments"
    call(everybody.bot, "POST", comments, 201, json={"body": longest})
    message = refused(everybody.bot, "POST", comments, 422, json={"body": longest + "ä"})
    assert "too long (maximum is 65536 characters)" in message
    call(everybody.bot, "PATCH", f"{issues}/{issue['number']}", 422, json={"body": longest + "ä"})


def test_a_comment_needs_a_body_and_an_issue_a_title(everybody: World) -> None:
    issues = f"{everybody.repo}/issues"
    call(everybody.admin, "POST", issues, 422, json={"body": "no title"})
    number = call(everybody.admin, "POST", issues, 201, json={"title": "Quiet"})["number"]
    for body in ({}, {"body": ""}, {"body": None}):
        call(everybody.bot, "POST", f"{issues}/{number}/comments", 422, json=body)
    call(everybody.bot, "POST", f"{issues}/99999/comments", 404, json={"body": "Nowhere"})
