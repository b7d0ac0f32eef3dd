"""Features of clips: a network that is shown one window of frames after the other, or frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from hasvideo.features.extractors.base import overlapping_blocks
from hasvideo.features.runtime import Network, compile_network
from hasvideo.types import TimeGrid

if TYPE_CHECKING:
    from torch import nn


def centred_grid(fps: float, window: int, stride: int) -> TimeGrid:
    """Windows whose centres are those of cells of ``stride`` frames, to half a frame; ``window`` >= ``stride``."""
    return TimeGrid(fps, window, stride, (stride - window) // 2)


class ClipExtractor:
    """A network over every window of ``grid.window`` frames; before and after the video its end frames repeat.

    ``auto`` means PyTorch here; OpenVINO has to be asked for.

    Args:
        name: as in ``--extractor``.
        grid: see :func:`centred_grid`.
        size: side of the frames, pixels.
        dim: D.
        weights_sha256: hash of the weights.
        build: makes the network: uint8 (B, window, size, size, 3), or without ``window`` where that is 1, to (B, D).
        engine: see :func:`hasvideo.features.runtime.compile_network`.
        device: see there.
        batch: clips that are computed together.

    Raises:
        UsageError: engine and device do not exist here.
        HasvideoError: the weights do not fit.
    """

    def __init__(
        self,
        name: str,
        grid: TimeGrid,
        size: int,
        dim: int,
        weights_sha256: str,
        build: Callable[[], nn.Module],
        engine: str,
        device: str,
        batch: int | None = None,
    ) -> None:
        self.name, self.grid, self.size, self.dim, self.weights_sha256 = name, grid, size, dim, weights_sha256
        self._batch = batch or (16 if grid.window == 1 else 2)
        time = () if grid.window == 1 else (grid.window,)
        shape = (self._batch, *time, size, size, 3)
        network = Network(f"{name.replace('/', '-')}-{weights_sha256[:12]}", build, shape, "uint8", shape)
        self._run = compile_network(network, "torch" if engine == "auto" else engine, device)
        self._shape = shape

    def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield ``(m, D)`` features of frames ``(n, size, size, 3)``; see :class:`Extractor`."""
        window, stride = self.grid.window, self.grid.stride
        before = -self.grid.offset
        for block, count in overlapping_blocks(frames, stride * self._batch, before, window - stride - before):
            clips = np.stack([block[i * stride :][:window] for i in range(self._batch)])
            yield self._run(clips.reshape(self._shape))[: -(-count // stride)]
