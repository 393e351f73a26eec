"""Routes of manifests."""

from fastapi import APIRouter

router = APIRouter()
