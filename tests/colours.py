"""A localizer whose answers can be foreseen: it finds red and green in videos that the tests paint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import torch

from hasvideo.checkpoint import save
from hasvideo.features.extractors.base import overlapping_blocks
from hasvideo.networks.config import TemporalConfig
from hasvideo.networks.temporal import TemporalNetwork
from hasvideo.types import TimeGrid
from hasvideo.video.model import Model

CLASSES = ("red", "green", "blue")
RGB = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "black": (0, 0, 0)}


class ColourExtractor:
    """The mean colour of every five frames, 0..1."""

    name = "colour"
    grid = TimeGrid(fps=10.0, window=5, stride=5)
    dim = 3
    size = 32
    weights_sha256 = "c0105"

    def __init__(self, *_: object) -> None:
        """Any engine, device and weights will do."""

    def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for block, _ in overlapping_blocks(frames, 5, 0, 0):
            yield (block.mean(axis=(0, 1, 2), dtype=np.float32) / 255)[None]


def colour_model(path: Path, weights_sha256: str = ColourExtractor.weights_sha256) -> Path:
    """A checkpoint that knows the three colours."""
    network = TemporalNetwork(TemporalConfig(3, 3, layers=0, classification="sigmoid"))
    with torch.no_grad():
        network.head.weight.copy_(torch.eye(3) * 8 - 4)
        network.head.bias.zero_()
    save(Model(str(path), CLASSES, "colour", weights_sha256, ColourExtractor.grid, network), path)
    return path


def paint_video(path: Path, *colours: str, seconds: float = 1.0, fps: int = 10, size: int = 48) -> Path:
    """A video that shows each colour for ``seconds``."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        for colour in colours:
            image = np.full((size, size, 3), RGB[colour], np.uint8)
            for _ in range(round(seconds * fps)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path
