"""Metrics: plain numpy in, plain dicts out."""
