"""Routes of gitdata."""

from fastapi import APIRouter

router = APIRouter()
