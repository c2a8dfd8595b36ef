"""Elinvar beside its peers: `python -m benchmarks`."""
