"""Brokers as the judge of changes asks them."""


async def nowhere(_data: bytes) -> list[tuple[str, int]]:
    """One that finds nothing."""
    return []
