"""Routes of commit statuses."""

from fastapi import APIRouter

router = APIRouter()
