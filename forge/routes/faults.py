"""Test-only routes that switch faults on and say when the forge is idle."""

from fastapi import APIRouter

router = APIRouter()
