"""Phase 2, exploration: one HTML page about the training part, for people."""
