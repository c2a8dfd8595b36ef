"""Training runs as folders that can be verified, gone on with, and replayed."""
