"""From seconds to text."""

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def format_duration(seconds: float) -> str:
    """Write a number of seconds in days, hours, minutes and seconds, leaving out what is zero."""
    if seconds < 0:
        raise ValueError("a duration cannot be negative")
    rest = round(seconds)
    parts = []
    for unit, size in _UNITS:
        amount, rest = divmod(rest, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return " ".join(parts) or "0s"
