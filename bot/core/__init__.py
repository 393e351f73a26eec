"""The rules: pure functions and frozen values; no I/O, clock, randomness, logging or async."""
