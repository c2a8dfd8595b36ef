"""Training runs as folders that can be verified."""
