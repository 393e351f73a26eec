"""Routes of a repository's labels and of the labels on its issues."""

from fastapi import APIRouter

router = APIRouter()
