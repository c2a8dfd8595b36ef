"""The user's tensor: cells, eager execution, the tape, traces and jit."""
