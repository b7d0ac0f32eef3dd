"""A video file in, its feature sequence out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hasvideo.errors import DecodeError
from hasvideo.types import TimeGrid, VideoInfo
from hasvideo.video.decoder_process import FrameStream
from hasvideo.video.extractors import Extractor


@dataclass(frozen=True)
class Features:
    """The features of (a part of) a video.

    Attributes:
        array: float32 ``(T, D)``, T >= 1.
        grid: where in time they lie, counted from ``start``.
        start, end: the part of the video they cover, seconds.
        info: the file's own data.
        extractor: name of what made them.
        weights_sha256: hash of its weights.
    """

    array: np.ndarray
    grid: TimeGrid
    start: float
    end: float
    info: VideoInfo
    extractor: str
    weights_sha256: str

    @property
    def edges(self) -> np.ndarray:
        """Borders of the features' cells in the video's time, seconds, ``(T + 1,)``."""
        return self.grid.edges(len(self.array), self.end - self.start) + self.start


FrameWatcher = Callable[[VideoInfo, float, np.ndarray], None]


def extract_features(
    path: Path,
    extractor: Extractor,
    *,
    decoder: str = "decord",
    start: float | None = None,
    end: float | None = None,
    watch: FrameWatcher | None = None,
) -> Features:
    """Decode a video in a process of its own and run the extractor over it, both at the same time.

    Memory does not grow with the video, but for the features themselves (I3D: 12.8 kB a second).

    Args:
        path: video file.
        extractor: see :func:`hasvideo.video.extractors.load_extractor`.
        decoder: ``decord``, ``torchcodec`` or ``pyav``.
        start, end: part of the video, seconds; all of it where None.
        watch: called for every chunk of frames that was decoded with the file's data, the time of the chunk's start
            (seconds) and its pixels before cropping, uint8 ``(n, H, W, 3)``: for progress and thumbnails.

    Raises:
        UsageError: start and end are not inside the video, or the decoder is unknown.
        DecodeError: the file cannot be read to its end.
    """
    grid = extractor.grid
    with FrameStream(path, decoder=decoder, fps=grid.fps, short_side=extractor.size, start=start, end=end) as stream:
        info, first = stream.info, start or 0.0
        frames = _Frames(stream, first, grid.fps, watch)
        # Room for all from the start: hours of features are not to be held twice while they are joined.
        array, filled = np.empty((grid.count(stream.length), extractor.dim), np.float32), 0
        for part in extractor(center_crop(chunk, extractor.size) for chunk in frames):
            part = part[: len(array) - filled]
            array[filled : filled + len(part)] = part
            filled += len(part)
    if not filled:
        raise DecodeError(f"{path}: no frames between {first:g} s and {end or info.duration:g} s")
    array = array[: min(filled, grid.count(frames.count))]
    last = first + frames.count / grid.fps if end is None else min(end, info.duration)
    return Features(array, grid, first, last, info, extractor.name, extractor.weights_sha256)


def center_crop(frames: np.ndarray, size: int) -> np.ndarray:
    """The central square ``(n, size, size, 3)`` of frames ``(n, H, W, 3)``, H and W >= size."""
    top, left = (frames.shape[1] - size) // 2, (frames.shape[2] - size) // 2
    return frames[:, top : top + size, left : left + size]


class _Frames:
    """The chunks of a stream, shown to the watcher and counted as they pass."""

    def __init__(self, stream: FrameStream, start: float, fps: float, watch: FrameWatcher | None) -> None:
        self.stream, self.start, self.fps, self.watch = stream, start, fps, watch
        self.count = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        for chunk in self.stream.chunks():
            if self.watch is not None:
                self.watch(self.stream.info, self.start + self.count / self.fps, chunk)
            self.count += len(chunk)
            yield chunk
