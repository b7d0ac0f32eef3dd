"""Localize in a video while it runs: intervals come out as soon as they are closed, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hasvideo.choice import Choice, resolve_classes
from hasvideo.errors import DecodeError, UsageError
from hasvideo.extents import find_intervals
from hasvideo.features.extract_one import FrameWatcher, PassingFrames
from hasvideo.frames.process import FrameStream
from hasvideo.types import Interval, TimeGrid

if TYPE_CHECKING:
    from hasvideo.video.localizer import Localizer
    from hasvideo.video.model import Model

LOOK_BACK = 30.0  # seconds; docs/results.md has what others are worth


@dataclass(frozen=True)
class Closed:
    """An interval that has come to its end.

    Attributes:
        interval: what, and from when to when, seconds from the stream's start.
        read: how far the stream had been read by then, seconds: ``read - interval.end`` is the latency.
    """

    interval: Interval
    read: float


def follow(
    source: str | Path,
    localizer: Localizer,
    choice: Choice | None = None,
    *,
    look_back: float = LOOK_BACK,
    start: float | None = None,
    end: float | None = None,
    watch: FrameWatcher | None = None,
) -> Iterator[Closed]:
    """Yield the intervals of a stream, or of a file, as soon as they are closed.

    When the stream ends or breaks off, or Ctrl-C is pressed, what is open ends there and comes out; then, but for the
    end, the exception.

    >>> for closed in follow("rtsp://camera/1", Localizer("mine.ckpt")):
    ...     print(closed.interval)

    Args:
        source: video file, named pipe, ``-`` for standard input, or URL.
        localizer: model, extractor and, for files, decoder.
        choice: classes and rule.
        look_back: see :class:`Follower`.
        start: where to look from, seconds; None: the beginning.
        end: where to look to, seconds; None: the end.
        watch: see :func:`hasvideo.features.extract_one.extract_features`.

    Raises:
        UsageError: a class, ``look_back`` or a range is wrong.
        DecodeError: the source is no video, or breaks off.
        KeyboardInterrupt: as it was pressed.
    """
    extractor = localizer.extractor
    follower = Follower(localizer.model, extractor.grid, choice, start=start or 0.0, look_back=look_back)
    stop: BaseException | None = None
    with FrameStream(
        source, decoder=localizer.decoder, fps=extractor.grid.fps, short_side=extractor.size, start=start, end=end
    ) as stream:
        frames = _Unbroken(stream, extractor, start or 0.0, watch, extractor.grid.stride)
        try:
            for features in frames.features():
                for interval in follower.feed(features):
                    yield Closed(interval, frames.end)
        except KeyboardInterrupt as error:  # while computing
            stop = error
    if follower.count:
        for interval in follower.finish(frames.end if stop is None else None):
            yield Closed(interval, frames.end)
    elif frames.broken is None and stop is None:
        raise DecodeError(f"{stream.path}: no frames from {start or 0:g} s on")
    stop = stop or frames.broken
    if stop is not None:
        raise stop


class Follower:
    """Finds intervals in features as they come, in a window of the last ``look_back`` seconds.

    Whenever features come, the window's class activation maps are computed, classes chosen and maps thresholded: as
    :class:`hasvideo.video.localizer.Localizer` does it with a whole video. A time step is settled when the network's
    convolutions and smoothing have all of their context. An interval is closed, and told, when a settled step after it
    is below the threshold and ``merge_gap`` more has passed. What is told is never taken back. A step that was below
    the threshold when it was settled is not told later, except as the beginning of an interval that goes on. An action
    that lasts longer than the window is told in parts of its length.

    Args:
        model: as of :class:`hasvideo.video.localizer.Localizer`.
        grid: where in time the features lie.
        choice: classes and rule.
        start: time from which features are counted, seconds.
        look_back: length of the window, seconds.

    Raises:
        UsageError: ``look_back`` is not 1 second to 1 day, or a class is unknown.

    Attributes:
        count: features seen so far.
    """

    def __init__(
        self,
        model: Model,
        grid: TimeGrid,
        choice: Choice | None = None,
        start: float = 0.0,
        look_back: float = LOOK_BACK,
    ) -> None:
        if not 1 <= look_back <= 86400:
            raise UsageError(f"look-back is a number of seconds from 1 to 86400, got {look_back}")
        choice = choice or Choice()
        self._choice = replace(choice, classes=resolve_classes(choice.classes, model.classes, model.name))
        self._rule = choice.rule(model.rule)
        self._model, self._grid, self._start = model, grid, start
        self._reach = model.reach
        self._most = max(1, round(look_back / grid.step)) + 2 * self._reach
        self._features = np.empty((0, model.dim), np.float32)
        self._horizon = start  # what ends before it has been decided
        self._open: dict[str, float] = {}  # since when, by class
        self._told: dict[str, float] = {}  # until when, by class
        self.count = 0

    def feed(self, features: np.ndarray) -> list[Interval]:
        """Take further features ``(m, D)``; return the intervals that they close, in order of their ends."""
        self.count += len(features)
        self._features = np.concatenate([self._features, features])[-self._most :]
        settled = len(self._features) - self._reach
        return self._tell(settled, self._borders(), final=False) if settled > self._forgotten else []

    def finish(self, end: float | None = None) -> list[Interval]:
        """Return the intervals that are still open, once all features have come.

        Args:
            end: end of the video, seconds, if it is known.
        """
        borders = self._borders()
        if end is not None:
            borders[-1] = end
            borders = borders.clip(max=end)
        return self._tell(len(self._features), borders, final=True)

    @property
    def _forgotten(self) -> int:
        """Steps at the window's beginning that lack what was before them; none as long as it is the video's."""
        return self._reach if self.count > len(self._features) else 0

    def _borders(self) -> np.ndarray:
        """Compute the borders of the window's cells, seconds, as :meth:`hasvideo.types.TimeGrid.edges` does."""
        first = self.count - len(self._features)
        middle = float(self._grid.centers(1)[0])
        borders = middle + (np.arange(first, self.count + 1) - 0.5) * self._grid.step
        if first == 0:
            borders[0] = 0.0
        return self._start + borders.clip(min=0.0)

    def _tell(self, settled: int, borders: np.ndarray, final: bool) -> list[Interval]:
        low, edges = self._forgotten, borders[self._forgotten : settled + 1]
        horizon = np.inf if final else float(edges[-1]) - self._rule.merge_gap
        oldest = float(edges[0]) if self.count > len(self._features) else -np.inf
        activations = self._model.activations(self._features)
        chosen = {a.label for a in self._choice.select(activations, self._model.min_class_score)}
        was_open, self._open = self._open, {}
        told: list[Interval] = []
        for activation in activations:
            label = activation.label
            if label not in chosen and label not in was_open:
                continue
            decided = was_open.get(label, self._horizon)
            for found in find_intervals(replace(activation, cam=activation.cam[low:settled]), edges, self._rule):
                since = max(found.start, self._told.get(label, -np.inf))
                if found.end <= decided:
                    continue
                if found.end >= horizon and since > oldest:
                    self._open[label] = since
                elif found.end - since >= max(self._rule.min_duration, 1e-9):
                    told.append(replace(found, start=since))
                    self._told[label] = found.end
        self._horizon = max(self._horizon, horizon)
        return sorted(told, key=lambda interval: (interval.end, interval.start))


class _Unbroken(PassingFrames):
    """Frames that just end where the stream breaks off or Ctrl-C is pressed, so that what came before is computed.

    Attributes:
        broken: why they ended, if it was not the end.
    """

    broken: BaseException | None = None

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield the frames."""
        try:
            yield from super().chunks()
        except (DecodeError, KeyboardInterrupt) as error:
            self.broken = error
