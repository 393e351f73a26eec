"""Test-only routes that switch faults on and off, and say whether the forge has anything left to do."""

import re
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, field_validator

from forge.auth import SiteAdmin, forge_of
from forge.faults import CallFault, DeliveryFault, Fault

router = APIRouter()


class Switch(BaseModel):
    """One fault: `route` is a regular expression on "METHOD /path", `event` one on "name.action", `agent` one on the User-Agent."""

    kind: Literal[CallFault, DeliveryFault]
    route: str = ""
    event: str = ""
    agent: str = ""
    count: int = Field(default=1, ge=1)
    seconds: float = Field(default=1.0, ge=0, le=3600)
    status: int = Field(default=0, ge=0, le=599)

    @field_validator("route", "event", "agent")
    @classmethod
    def _is_a_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return value


@router.post("/_test/faults", status_code=201)
def switch_on(request: Request, admin: SiteAdmin, body: Switch) -> dict[str, Any]:
    """Switch a fault on."""
    fault = Fault(**body.model_dump())
    forge_of(request).faults.add(fault)
    return fault.as_json()


@router.get("/_test/faults")
def list_faults(request: Request, admin: SiteAdmin) -> list[dict[str, Any]]:
    """List every fault set since the last clear, with its hits."""
    return [fault.as_json() for fault in forge_of(request).faults.list()]


@router.delete("/_test/faults", status_code=204)
def switch_off(request: Request, admin: SiteAdmin) -> None:
    """Switch everything off, and let go what is held back."""
    forge = forge_of(request)
    forge.faults.clear()
    forge.events.hurry()


class Left(BaseModel):
    """What everybody has left of their limits, and the seconds until these begin anew."""

    remaining: int = Field(ge=0)
    seconds: float = Field(default=3600.0, gt=0)


@router.put("/_test/limits", status_code=204)
def leave(request: Request, admin: SiteAdmin, body: Left) -> None:
    """Let the limits of everybody who called so far be nearly used up, or fresh."""
    request.app.state.limits.leave(body.remaining, body.seconds)


@router.get("/_test/idle")
def idle(request: Request, admin: SiteAdmin) -> dict[str, bool]:
    """Say whether no delivery and no CI job is pending."""
    forge = forge_of(request)
    return {"idle": forge.events.idle() and forge.ci.idle()}
