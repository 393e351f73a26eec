"""Routes of repos."""

from fastapi import APIRouter

router = APIRouter()
