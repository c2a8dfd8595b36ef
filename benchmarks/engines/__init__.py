"""One file for each framework: how it does the work of a case in its best sensible way."""
