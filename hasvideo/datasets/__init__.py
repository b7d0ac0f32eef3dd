"""Readers of the canonical data formats."""
