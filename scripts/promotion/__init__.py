"""Promotion: the best run becomes a version, the version goes to Production, and back if it must."""
