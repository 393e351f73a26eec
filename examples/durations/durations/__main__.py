"""`python -m durations 1h 30m` prints the number of seconds."""

import sys

from durations import parse_duration


def main(arguments: list[str]) -> int:
    """Print the seconds of the duration given as words; 2 is the exit code for wrong usage."""
    try:
        seconds = parse_duration(" ".join(arguments))
    except ValueError as error:
        print(f"durations: {error}", file=sys.stderr)
        return 2
    print(f"{seconds:g}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
