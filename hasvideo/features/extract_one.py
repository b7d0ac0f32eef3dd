"""Make the features of one video: a file in, its feature sequence out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hasvideo.errors import DecodeError
from hasvideo.features.extractors import Extractor
from hasvideo.features.scratch import gather
from hasvideo.frames.process import FrameStream
from hasvideo.types import TimeGrid, VideoInfo


@dataclass(frozen=True)
class Features:
    """The features of (a part of) a video.

    Attributes:
        array: float32 ``(T, D)``, T >= 1; of a long video, in a file that goes with the array.
        grid: where in time they lie, counted from ``start``.
        start: of the part of the video that they cover, seconds.
        end: of that part, seconds.
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

    Memory does not grow with the video: features beyond 16 MiB stay in a temporary file, in ``tempfile.gettempdir()``
    (I3D: 12.8 kB a second, 46 MB an hour).

    Args:
        path: video file or stream; a stream is read to its end.
        extractor: see :func:`hasvideo.features.extractors.load_extractor`.
        decoder: ``decord``, ``torchcodec`` or ``pyav``; streams are read by PyAV (``torchcodec`` is refused).
        start: of the part of the video to decode, seconds; None: its beginning.
        end: of that part, seconds; None: the video's end.
        watch: called for every chunk of frames that was decoded with the file's data, the time of the chunk's start
            (seconds) and its pixels before cropping, uint8 ``(n, H, W, 3)``: for progress and thumbnails.

    Raises:
        UsageError: start and end are not inside the video, or the decoder is unknown.
        DecodeError: the file cannot be read to its end.
        HasvideoError: there is no room for the temporary file.
    """
    grid = extractor.grid
    with FrameStream(path, decoder=decoder, fps=grid.fps, short_side=extractor.size, start=start, end=end) as stream:
        info, frames = stream.info, PassingFrames(stream, extractor, start or 0.0, watch)
        array = gather(frames.features(), extractor.dim)
    first = frames.start
    if not len(array):
        raise DecodeError(f"{path}: no frames between {first:g} s and {end or info.duration:g} s")
    last = first + frames.count / grid.fps if end is None else min(end, info.duration)
    if stream.length is None:
        last = first + frames.count / grid.fps
        info = replace(info, duration=last)
    return Features(array, grid, first, last, info, extractor.name, extractor.weights_sha256)


def center_crop(frames: np.ndarray, size: int) -> np.ndarray:
    """Cut out the central square ``(n, size, size, 3)`` of frames ``(n, H, W, 3)``, H and W >= size."""
    top, left = (frames.shape[1] - size) // 2, (frames.shape[2] - size) // 2
    return frames[:, top : top + size, left : left + size]


class PassingFrames:
    """The frames of a stream on their way to the extractor, shown to the watcher and counted as they pass.

    Attributes:
        start: time of the first one, seconds.
        count: how many have passed.
    """

    def __init__(
        self, stream: FrameStream, extractor: Extractor, start: float, watch: FrameWatcher | None, size: int = 64
    ) -> None:
        self.start, self.count = start, 0
        self._stream, self._extractor, self._watch, self._size = stream, extractor, watch, size

    @property
    def end(self) -> float:
        """Time up to which frames have passed, seconds."""
        return self.start + self.count / self._extractor.grid.fps

    def features(self) -> Iterator[np.ndarray]:
        """Yield their features, float32 ``(m, D)``, but none whose centre lies beyond the last frame."""
        filled = 0
        for part in self._extractor(center_crop(chunk, self._extractor.size) for chunk in self.chunks()):
            part = part[: max(0, self._extractor.grid.count(self.count) - filled)]
            filled += len(part)
            yield part

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield the frames, ``size`` at a time."""
        for chunk in self._stream.chunks(self._size):
            if self._watch is not None:
                self._watch(self._stream.info, self.end, chunk)
            self.count += len(chunk)
            yield chunk
