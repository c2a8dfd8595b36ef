"""Floor: graph → graph, changing the meaning: differentiate, batch, checkpoint."""
