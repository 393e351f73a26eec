"""Test-only routes of the tiny CI."""

from fastapi import APIRouter

router = APIRouter()
