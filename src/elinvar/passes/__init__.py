"""Floor: graph → graph, keeping the meaning; a file is named as its pass."""
