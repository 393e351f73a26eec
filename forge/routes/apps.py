"""Routes of apps."""

from fastapi import APIRouter

router = APIRouter()
