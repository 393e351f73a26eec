"""Routes of installations."""

from fastapi import APIRouter

router = APIRouter()
