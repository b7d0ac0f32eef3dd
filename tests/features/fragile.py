"""An extractor that some videos are too much for, and that is quickly imported."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hasvideo.features.extractors.base import overlapping_blocks
from hasvideo.features.fill import Filled
from hasvideo.features.manifest import Manifest
from hasvideo.types import TimeGrid


class FragileExtractor:
    """Mean colours. Green makes it fail, blue makes it crash."""

    name = "fragile"
    grid = TimeGrid(fps=10.0, window=5, stride=5)
    dim = 3
    size = 32
    weights_sha256 = "ab"

    def __init__(self, engine: str, device: str) -> None:
        """Any engine and device will do."""

    def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for block, _ in overlapping_blocks(frames, 5, 0, 0):
            red, green, blue = block.mean(axis=(0, 1, 2), dtype=np.float32) / 255
            if green > 0.5:
                raise ValueError("green\nis too much")
            if blue > 0.5:
                os.kill(os.getpid(), signal.SIGKILL)
            yield np.array([[red, green, blue]])


class DiesOnceExtractor(FragileExtractor):
    """Is killed in the middle of the first video, and leaves a file by which the next one knows that it was."""

    def __init__(self, engine: str, device: str, weights: Path) -> None:
        self._died = weights

    def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for block, _ in overlapping_blocks(frames, 5, 0, 0):
            yield block.mean(axis=(0, 1, 2), dtype=np.float32)[None] / 255
            if not self._died.exists():
                self._died.touch()
                os.kill(os.getpid(), signal.SIGKILL)


class DiskFullExtractor(FragileExtractor):
    """After its first video no array can be saved."""

    def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for block, _ in overlapping_blocks(frames, 5, 0, 0):
            yield block.mean(axis=(0, 1, 2), dtype=np.float32)[None] / 255
        begin = np.lib.format.write_array_header_1_0

        def begin_once(*arguments: object) -> None:
            begin(*arguments)  # type: ignore[arg-type]
            np.lib.format.write_array_header_1_0 = _no_space

        np.lib.format.write_array_header_1_0 = begin_once


def _no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def check_the_rest_went_on(found: Filled, why: str) -> None:
    """Of four colours blue killed its workers, and is listed with the reason; green failed; the others are made."""
    assert sorted(r.id for r in found.made) == ["black", "red"]
    assert why in found.failed["blue"]
    assert "green is too much" in found.failed["green"]
    assert Manifest(found.store.folder).records()["blue"].error == found.failed["blue"]
    assert "blue" in (found.store.folder / "failed.csv").read_text()


def die(_device: object) -> None:
    """End the process that would make a worker."""
    os._exit(1)
