"""Routes of pulls."""

from fastapi import APIRouter

router = APIRouter()
