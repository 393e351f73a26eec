"""Routes of reviews."""

from fastapi import APIRouter

router = APIRouter()
