"""Routes of an App's webhook deliveries."""

from fastapi import APIRouter

router = APIRouter()
