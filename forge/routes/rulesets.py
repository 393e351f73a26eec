"""Routes of rulesets and of the rules that apply to one branch."""

import json
import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from forge import objects, rulesets
from forge.auth import Access, needs
from forge.errors import JsonDict, invalid, not_found
from forge.paging import Paged
from forge.store import Row

router = APIRouter()

Readable = Annotated[Access, needs("metadata", "read")]
Governed = Annotated[Access, needs("administration", "write")]

BASE = "/repos/{owner}/{repo}/rulesets"
Enforcement = Literal["active", "disabled", "evaluate"]


class Rule(BaseModel):
    """One rule; what its parameters mean depends on its type."""

    type: str
    parameters: dict[str, Any] | None = None


class RefName(BaseModel):
    """Patterns of full ref names, `~ALL` or `~DEFAULT_BRANCH`."""

    include: list[str] = Field(default_factory=list)
    exclude: list[str] = Field(default_factory=list)


class Conditions(BaseModel):
    """Which refs a ruleset covers."""

    ref_name: RefName = Field(default_factory=RefName)


class Bypass(BaseModel):
    """Who need not obey; `actor_id` is an App's id or the id of a role."""

    actor_id: int | None = None
    actor_type: Literal["Integration", "RepositoryRole"]
    bypass_mode: Literal["always", "pull_request"] = "always"


class NewRuleset(BaseModel):
    """A ruleset to create."""

    name: str = Field(min_length=1)
    target: Literal["branch", "tag"] = "branch"
    enforcement: Enforcement
    bypass_actors: list[Bypass] = Field(default_factory=list)
    conditions: Conditions = Field(default_factory=Conditions)
    rules: list[Rule] = Field(default_factory=list)


class RulesetChange(BaseModel):
    """What changes of a ruleset."""

    name: str | None = Field(default=None, min_length=1)
    enforcement: Enforcement | None = None
    bypass_actors: list[Bypass] | None = None
    conditions: Conditions | None = None
    rules: list[Rule] | None = None


@router.get(BASE)
def list_rulesets(access: Readable, page: Paged) -> Response:
    sql = "SELECT * FROM rulesets WHERE repo_id = ? ORDER BY id"
    return page.query(access.forge.db, sql, access.repo["id"], show=lambda row: _short(access, row))


@router.post(BASE, status_code=201)
def create_ruleset(access: Governed, body: NewRuleset) -> JsonDict:
    forge, now = access.forge, access.forge.now()
    _check(body.rules)
    number = forge.db.run(
        "INSERT INTO rulesets (repo_id, name, target, enforcement, bypass_actors, conditions, rules, created_at,"
        " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        access.repo["id"],
        body.name,
        body.target,
        body.enforcement,
        _stored(body.bypass_actors),
        _stored(body.conditions),
        _stored(body.rules),
        now,
        now,
    )
    return _shown(access, _found(access, number))


@router.get(BASE + "/{ruleset_id:int}")
def read_ruleset(access: Readable, ruleset_id: int) -> JsonDict:
    return _shown(access, _found(access, ruleset_id))


@router.put(BASE + "/{ruleset_id:int}")
def change_ruleset(access: Governed, ruleset_id: int, body: RulesetChange) -> JsonDict:
    row, forge = _found(access, ruleset_id), access.forge
    _check(body.rules or [])
    kept = {name: row[name] for name in ("bypass_actors", "conditions", "rules")}
    given = {name: _stored(value) for name in kept if (value := getattr(body, name)) is not None}
    columns = {**kept, **given}
    forge.db.run(
        "UPDATE rulesets SET name = ?, enforcement = ?, bypass_actors = ?, conditions = ?, rules = ?,"
        " updated_at = ? WHERE id = ?",
        body.name or row["name"],
        body.enforcement or row["enforcement"],
        columns["bypass_actors"],
        columns["conditions"],
        columns["rules"],
        forge.now(),
        ruleset_id,
    )
    return _shown(access, _found(access, ruleset_id))


@router.delete(BASE + "/{ruleset_id:int}")
def delete_ruleset(access: Governed, ruleset_id: int) -> Response:
    access.forge.db.run("DELETE FROM rulesets WHERE id = ?", _found(access, ruleset_id)["id"])
    return Response(status_code=204)


@router.get("/repos/{owner}/{repo}/rules/branches/{branch:path}")
def list_branch_rules(access: Readable, page: Paged, branch: str) -> JSONResponse:
    found = rulesets.active(access.forge, access.repo, f"refs/heads/{branch}")
    return page.answer(found, lambda pair: {**pair[1], **_source(access, pair[0])})


def _check(rules: list[Rule]) -> None:
    """422 for rules that this forge could not enforce, and for patterns that are none."""
    for rule in rules:
        if rule.type not in rulesets.RULES:
            known = ", ".join(rulesets.RULES)
            raise invalid(
                "Ruleset", "rules", "custom", f"{rule.type} is not enforced by this forge, only {known}"
            )
        if rule.type.endswith("_pattern") and not {"operator", "pattern"} <= set(rule.parameters or {}):
            raise invalid("Ruleset", "rules", "custom", f"{rule.type} needs an operator and a pattern")
        if rule.type.endswith("_pattern"):
            _check_pattern(rule.parameters or {})


def _check_pattern(parameters: dict[str, Any]) -> None:
    """422 for a pattern that no text could be held against."""
    try:
        rulesets.holds(parameters, "")
    except (KeyError, re.error) as error:
        raise invalid("Ruleset", "rules", "custom", f"not a pattern of GitHub's: {error}") from error


def _stored(value: Any) -> str:
    if isinstance(value, list):
        return json.dumps([each.model_dump(exclude_none=True) for each in value])
    return json.dumps(value.model_dump(exclude_none=True))


def _found(access: Access, number: int) -> Row:
    row = access.forge.db.one(
        "SELECT * FROM rulesets WHERE id = ? AND repo_id = ?", number, access.repo["id"]
    )
    if row is None:
        raise not_found()
    return row


def _source(access: Access, row: Row) -> JsonDict:
    full = f"{access.repo['owner_login']}/{access.repo['name']}"
    return {"ruleset_source_type": "Repository", "ruleset_source": full, "ruleset_id": row["id"]}


def _short(access: Access, row: Row) -> JsonDict:
    api, page = objects.api_url(access.forge, access.repo), objects.html_url(access.forge, access.repo)
    return {
        "id": row["id"],
        "name": row["name"],
        "target": row["target"],
        "source_type": "Repository",
        "source": f"{access.repo['owner_login']}/{access.repo['name']}",
        "enforcement": row["enforcement"],
        "node_id": objects.node_id("RepositoryRuleset", row["id"]),
        "_links": {
            "self": {"href": f"{api}/rulesets/{row['id']}"},
            "html": {"href": f"{page}/rules/{row['id']}"},
        },
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _shown(access: Access, row: Row) -> JsonDict:
    bypasses = rulesets.may_bypass(row, access.repo, access.actor)
    return {
        **_short(access, row),
        "bypass_actors": json.loads(row["bypass_actors"]),
        "current_user_can_bypass": "always" if bypasses else "never",
        "conditions": json.loads(row["conditions"]),
        "rules": json.loads(row["rules"]),
    }
