"""The API as an App's broker in this process asks it."""

from collections.abc import Callable
from datetime import datetime

import httpx

from bot.broker.credential import Credential
from bot.broker.doors import Place
from bot.broker.inside import Inside


def as_app(url: str, pem: str, now: Callable[[], datetime]) -> httpx.AsyncBaseTransport:
    place = Place(url, f"{url}/{{owner}}/{{repo}}.git")
    return Inside(Credential("77", pem), place, now, 10).transport()
