"""Floor 1: the table of primitives, each defined once."""
