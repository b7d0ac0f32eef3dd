"""I3D RGB features (Mixed_5c averaged over space, 1024-d) with DeepMind's Kinetics-400 weights, Apache-2.0."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from hasvideo.features.extractors.base import overlapping_blocks
from hasvideo.features.runtime import Network, compile_network
from hasvideo.types import TimeGrid
from hasvideo.weights import WEIGHTS, load_weights

if TYPE_CHECKING:
    from hasvideo.networks.i3d import I3D, I3DStem, I3DTail

WEIGHTS_NAME = "i3d-kinetics400"

# Frames (stem) and stem cells (tail) that one call adds, and the context that its cells see around them, rounded up to
# whole cells; networks/i3d.py derives the fields of view. The sizes trade memory against context computed twice.
_STEM, _STEM_BEFORE, _STEM_AFTER = 64, 8, 12
_TAIL, _TAIL_BEFORE, _TAIL_AFTER = 32, 10, 10
_AT_ONCE = 128  # frames of the longest video that is not cut into blocks, most of the last of which may be empty


class I3DExtractor:
    """I3D over the whole video, every feature with its full field of view of 99 frames (4 s), a feature per 0.32 s.

    The network is fully convolutional in time, so neighbouring windows share nearly all of their work. It runs in two
    parts, both over blocks with as much context as their cells see: features equal those of one pass over the whole
    video, at a fraction of its memory, wherever the blocks begin. A video of up to 5 s is computed in one pass. Before
    the first frame and after the last one, these repeat.

    Args:
        engine: ``auto``, ``torch`` or ``openvino``.
        device: see :func:`hasvideo.device.resolve_device`.

    Raises:
        UsageError: engine and device do not exist here.
        HasvideoError: the weights cannot be had.
    """

    name = "i3d"
    grid = TimeGrid(fps=25.0, window=99, stride=8, offset=-44)
    dim = 1024
    size = 224
    weights_sha256 = WEIGHTS[WEIGHTS_NAME].sha256

    def __init__(self, engine: str = "auto", device: str = "auto") -> None:
        version = self.weights_sha256[:12]
        frames, cells = _STEM_BEFORE + _STEM + _STEM_AFTER, _TAIL_BEFORE + _TAIL + _TAIL_AFTER
        side = self.size // 16
        stem = Network(f"i3d-stem-{version}", _stem, (1, frames, self.size, self.size, 3), "uint8", (1, 16, 64, 64, 3))
        tail = Network(f"i3d-tail-{version}", _tail, (1, 480, cells, side, side), "float32", (1, 480, 8, 4, 4))
        self._stem = compile_network(stem, engine, device)
        self._tail = compile_network(tail, engine, device)

    def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield ``(m, 1024)`` features, >= 0, of frames ``(n, 224, 224, 3)``; see :class:`Extractor`."""
        count, frames = _count_up_to(_AT_ONCE, frames)
        stem, tail = (_STEM, _TAIL) if count > _AT_ONCE else (4 * -(-count // 4), 2 * -(-count // 8))
        for cells, real in overlapping_blocks(self._cells(frames, stem), tail, _TAIL_BEFORE, _TAIL_AFTER):
            features = self._tail(np.ascontiguousarray(cells.swapaxes(0, 1))[None])[0]  # (tail / 2 + 10, 1024)
            yield features[_TAIL_BEFORE // 2 :][: -(-real // 2)]

    def _cells(self, frames: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
        for block, real in overlapping_blocks(frames, size, _STEM_BEFORE, _STEM_AFTER):
            cells = self._stem(block[None])[0].swapaxes(0, 1)  # (size / 4 + 5, 480, 14, 14)
            yield cells[_STEM_BEFORE // 4 :][: -(-real // 4)]


def _count_up_to(limit: int, chunks: Iterable[np.ndarray]) -> tuple[int, Iterable[np.ndarray]]:
    """Count the items, or stop at more than ``limit``; return also all of the chunks."""
    chunks, seen, count = iter(chunks), [], 0
    for chunk in chunks:
        seen.append(chunk)
        count += len(chunk)
        if count > limit:
            break
    return count, itertools.chain(seen, chunks)


def load_i3d() -> I3D:
    """Load :class:`hasvideo.networks.i3d.I3D` with the Kinetics-400 weights, in eval mode.

    Raises:
        HasvideoError: the weights cannot be had.
    """
    from hasvideo.networks.i3d import I3D

    network = I3D()
    network.load_state_dict(load_weights(WEIGHTS_NAME))
    return network.eval()


def _stem() -> I3DStem:
    from hasvideo.networks.i3d import I3DStem

    return I3DStem(load_i3d()).eval()


def _tail() -> I3DTail:
    from hasvideo.networks.i3d import I3DTail

    return I3DTail(load_i3d()).eval()
