"""Data sets as named versions that do not change."""
