"""Routes of collaborators."""

from fastapi import APIRouter

router = APIRouter()
