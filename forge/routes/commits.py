"""Routes of commits."""

from fastapi import APIRouter

router = APIRouter()
