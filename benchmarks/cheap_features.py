"""hasvideo's commands with random numbers for features, so that hours of video can be run; all else is the real thing.

The features have I3D's size and grid and come in its blocks; frames are 48 pixels high instead of 224.

    python benchmarks/cheap_features.py localize video.mp4 -f all
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from hasvideo.commands import run
from hasvideo.features import extractors
from hasvideo.features.extractors.base import overlapping_blocks
from hasvideo.features.extractors.i3d import I3DExtractor


class CheapExtractor:
    """Random numbers where I3D would have features, the same ones for every video."""

    name, grid, dim, size = I3DExtractor.name, I3DExtractor.grid, I3DExtractor.dim, 48
    weights_sha256 = I3DExtractor.weights_sha256

    def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        random = np.random.default_rng(0)
        for _, count in overlapping_blocks(frames, 128, 40, 40):
            yield random.standard_normal((-(-count // self.grid.stride), self.dim), np.float32)


def use_cheap_features() -> None:
    """Let the extractor of this process be the cheap one."""
    extractors.load_extractor = lambda *_: CheapExtractor()  # type: ignore[assignment]


def scale_down(source: Path, target: Path) -> Path:
    """Make a copy of a video, 64 x 48 pixels, with a key frame every second."""
    options = {"preset": "ultrafast", "g": "25"}
    with av.open(str(source)) as original, av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, frame in enumerate(original.decode(video=0)):
            frame = frame.reformat(64, 48, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return target


if __name__ == "__main__":
    use_cheap_features()
    command = sys.argv.pop(1)
    run(importlib.import_module(f"hasvideo.{command}").main)
