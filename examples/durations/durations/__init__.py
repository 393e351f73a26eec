"""Read and write lengths of time as people type them: `1h 30m`, `90s`, `2d`."""

from durations.formatting import format_duration
from durations.parsing import parse_duration

__all__ = [
    "format_duration",
    "parse_duration",
]
