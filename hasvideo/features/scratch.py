"""Arrays that grow with a video's length: large ones lie in a file without a name, so that memory does not grow."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

import numpy as np

from hasvideo.errors import HasvideoError

IN_MEMORY = 2**24  # bytes up to which an array stays in memory


def gather(parts: Iterable[np.ndarray], dim: int) -> np.ndarray:
    """Gather the rows of arrays ``(n, dim)``, float32, one array after the other.

    Raises:
        HasvideoError: the disk is full.
    """
    with _open() as file:
        rows = 0
        for part in parts:
            _write(file, np.ascontiguousarray(part, np.float32))
            rows += len(part)
        if not rows:
            return np.empty((0, dim), np.float32)
        array = np.memmap(file, np.float32, "r+", shape=(rows, dim))
    return np.array(array) if array.nbytes <= IN_MEMORY else array


def empty(shape: tuple[int, ...]) -> np.ndarray:
    """Make room for numbers, float32.

    Raises:
        HasvideoError: the disk is full.
    """
    size = 4 * int(np.prod(shape))
    if size <= IN_MEMORY:
        return np.empty(shape, np.float32)
    with _open() as file:
        try:
            # Without it a full disk would show as a crash, when the array is written to.
            os.posix_fallocate(file.fileno(), 0, size) if hasattr(os, "posix_fallocate") else file.truncate(size)
        except OSError as error:
            raise _full(error) from error
        return np.memmap(file, np.float32, "r+", shape=shape)


def blocks(array: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield ``size`` rows at a time; where they lie in a file, memory is given back behind them."""
    for first in range(0, len(array), size):
        yield array[first : first + size]
        forget(array)


def forget(array: np.ndarray) -> None:
    """Give back the memory that an array took that lies in a file; it stays as it is, and readable."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)


def _open() -> IO[bytes]:
    # Unbuffered: what a buffer still held would raise a second time, at close, in place of our error.
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        raise _full(error) from error


def _write(file: IO[bytes], array: np.ndarray) -> None:
    left = array.reshape(-1).view(np.uint8).data
    try:
        while left:  # a disk that is nearly full takes a part
            left = left[file.write(left) :]
    except OSError as error:
        raise _full(error) from error


def _full(error: OSError) -> HasvideoError:
    folder = tempfile.gettempdir()
    return HasvideoError(f"cannot write to {folder}: {error.strerror or error} (TMPDIR names another folder)")
