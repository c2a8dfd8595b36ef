"""Functions that leave Python: object files with C headers and weights."""
