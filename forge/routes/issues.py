"""Routes of issues: create, read, list, change, lock."""

from fastapi import APIRouter

router = APIRouter()
