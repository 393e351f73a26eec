"""Routes of compare."""

from fastapi import APIRouter

router = APIRouter()
