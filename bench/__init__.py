"""Benchmarks: ratios against a baseline measured in the same run; no part of the tests."""
