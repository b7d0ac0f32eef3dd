"""Follow the frames of a video while they are processed: show progress, keep a film strip."""

from __future__ import annotations

import math
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from hasvideo.types import VideoInfo

if TYPE_CHECKING:
    from tqdm import tqdm


class VideoProgress:
    """Show a progress bar on standard error, in seconds of video, with the time that is left.

    Args:
        name: text before the bar, such as the video's name.
        start: where in the video the work begins, seconds; None: at its start.
        end: where in the video the work ends, seconds; None: at its end.
        quiet: show nothing.
    """

    def __init__(self, name: str, start: float | None = None, end: float | None = None, quiet: bool = False) -> None:
        self._name, self._start, self._end, self._quiet = name, start or 0.0, end, quiet
        self._bar: tqdm | None = None

    def __call__(self, info: VideoInfo, time: float, frames: np.ndarray) -> None:
        """Move the bar to ``time`` (seconds), where the frames that are being processed begin."""
        if self._bar is None:
            self._bar = self._open(info)
        self._bar.update(max(0.0, time - self._start - self._bar.n))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def _open(self, info: VideoInfo) -> tqdm:
        from tqdm import tqdm

        end = info.duration if self._end is None else min(self._end, info.duration)
        shape = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s of video, {elapsed} < {remaining}"
        if end == math.inf:
            shape = "{desc}: {n:.0f} s of video, {elapsed}"
        total = None if end == math.inf else max(end - self._start, 0.0)
        return tqdm(
            desc=self._name,
            total=total,
            file=sys.stderr,
            disable=self._quiet,
            leave=False,
            bar_format=shape,
            delay=1e-3,  # tqdm interrupted while it is being built shows a traceback: draw later
        )


class FilmStrip:
    """Keep a few small frames, evenly spaced over a video whose length is not known in advance.

    Args:
        most: number of frames to keep at most; before there would be more, every second one is dropped.
        height: pixels, approximately, to which a frame is reduced by leaving out rows and columns.

    Attributes:
        frames: the frames in order, each ``(seconds, uint8 (h, w, 3))``.
    """

    def __init__(self, most: int = 24, height: int = 120) -> None:
        self.frames: list[tuple[float, np.ndarray]] = []
        self._most, self._height, self._spacing = most, height, 0.0

    def __call__(self, info: VideoInfo, time: float, frames: np.ndarray) -> None:
        """Keep the first of these frames, unless it is too near in time to the last one kept."""
        if self.frames and time < self.frames[-1][0] + self._spacing:
            return
        if len(self.frames) == self._most:
            self.frames = self.frames[::2]
            self._spacing = self.frames[1][0] - self.frames[0][0]
        step = max(1, round(frames.shape[1] / self._height))
        self.frames.append((time, frames[0, ::step, ::step].copy()))
