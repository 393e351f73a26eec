"""Routes of check runs and check suites."""

from fastapi import APIRouter

router = APIRouter()
