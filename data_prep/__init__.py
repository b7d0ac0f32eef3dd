"""Converters from published annotation and feature layouts to the canonical formats of hasvideo."""
