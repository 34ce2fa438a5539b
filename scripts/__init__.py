"""Servers 1 and 2: training, evaluation and serving of the model rfc_tune."""
