"""Decoding videos and turning them into feature sequences."""
