"""The HTML pages on which a person works with the forge."""

from fastapi import APIRouter

router = APIRouter()
