"""Routes of merges."""

from fastapi import APIRouter

router = APIRouter()
