"""Floor 0: data types, shapes, errors, source lines, settings and nested containers."""
