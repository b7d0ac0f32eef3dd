"""What every feature extractor offers, and how a sequence that arrives in chunks is cut into overlapping blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from hasvideo.types import TimeGrid


class Extractor(Protocol):
    """Frames in, features out, in constant memory.

    Attributes:
        name: as in ``--extractor``.
        grid: frame rate it wants and where its features lie in time.
        dim: D, numbers in one feature.
        size: side, in pixels, of the square frames it takes.
        weights_sha256: hash of its weights' source.
    """

    name: str
    grid: TimeGrid
    dim: int
    size: int
    weights_sha256: str

    def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield float32 ``(m, D)`` features of uint8 RGB frames ``(n, size, size, 3)`` that come in chunks of any size.

        The features do not depend on how the frames were cut into chunks.
        """
        ...


def overlapping_blocks(
    chunks: Iterable[np.ndarray], size: int, before: int, after: int
) -> Iterator[tuple[np.ndarray, int]]:
    """Cut a sequence into blocks of ``size`` items, each with ``before`` and ``after`` items of context around it.

    Beyond the ends of the sequence its first and last item repeat.

    Args:
        chunks: arrays ``(n, ...)``, n >= 0, of equal trailing shape; together they are the sequence.
        size: items that a block adds, >= 1.
        before: items of context before a block, >= 0.
        after: items of context after it, >= 0.

    Yields:
        ``(before + size + after, ...)`` and how many of the ``size`` items are real (``size`` but in the last block).
    """
    buffer: np.ndarray | None = None
    total = before + size + after
    for chunk in chunks:
        if not len(chunk):
            continue
        if buffer is None:
            buffer = np.repeat(chunk[:1], before, axis=0)
        buffer = np.concatenate([buffer, chunk])
        while len(buffer) >= total:
            yield buffer[:total], size
            buffer = buffer[size:]
    while buffer is not None and len(buffer) > before:
        block = buffer[:total]
        missing = total - len(block)
        yield np.concatenate([block, np.repeat(block[-1:], missing, axis=0)]), min(size, len(buffer) - before)
        buffer = buffer[size:]
