"""Evaluation of a model version: how good it is, on which customers, and whether it should be promoted."""
