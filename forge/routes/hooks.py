"""Routes of a repository's webhooks."""

from fastapi import APIRouter

router = APIRouter()
