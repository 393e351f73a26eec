"""Routes of reactions to issues and to comments."""

from fastapi import APIRouter

router = APIRouter()
