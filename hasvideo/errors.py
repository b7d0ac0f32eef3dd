"""The ways in which a job can fail; commands turn them into one line on standard error and an exit code."""

from __future__ import annotations


class HasvideoError(Exception):
    """Work failed for a reason the user can act on (exit code 1). The message is one line: what, where, what to do."""


class UsageError(HasvideoError, ValueError):
    """The request itself was wrong: an unknown name, a value out of range (exit code 2)."""


class DecodeError(HasvideoError):
    """A video could not be read, was cut off, or its decoder crashed or hung."""
