"""Routes of comments on issues and pull requests."""

from fastapi import APIRouter

router = APIRouter()
