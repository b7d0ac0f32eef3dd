"""The values that modules hand to each other: frozen, without logic beyond their own. Times are seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hasvideo.errors import HasvideoError

if TYPE_CHECKING:
    import pandas


def rounded(value: float) -> float:
    """Return a number as files hold it: nine significant digits, and never fewer than six decimals.

    Arithmetic leaves 1.3399999999999999 where 1.34 is meant. Nine digits tell any two float32 scores apart, and six
    decimals are microseconds. A number that is rounded already stays as it is.
    """
    return float(f"{value:.9g}") if abs(value) < 1000 else round(float(value), 6)


@dataclass(frozen=True)
class VideoInfo:
    """What a video file, or a stream, says of itself.

    Attributes:
        path: the file, as given; for a stream, a :class:`hasvideo.frames.live.StreamPath`.
        duration: seconds, from what players call 0 to the end of the last frame. For a stream it is infinity while
            reading; in results it is how much was read.
        fps: average frames per second of the file (not of the features).
        width: pixels as displayed, after rotation.
        height: pixels as displayed, after rotation.
        rotation: degrees clockwise that the decoder applied (0, 90, 180, 270).
    """

    path: Path
    duration: float
    fps: float
    width: int
    height: int
    rotation: int = 0

    @property
    def is_stream(self) -> bool:
        """Whether it was a stream; then there is no file to link to."""
        return bool(getattr(self.path, "address", ""))


@dataclass(frozen=True)
class TimeGrid:
    """Where in time the features of a video lie.

    Feature ``i`` sees the ``window`` frames from ``offset + i * stride`` on. Frames are counted at ``fps``, the rate of
    the extractor, which need not be the file's. With a negative offset the first feature begins before the video does.

    Attributes:
        fps: frames per second that the extractor is fed.
        window: frames that one feature sees.
        stride: frames from one feature to the next.
        offset: first frame that feature 0 sees.

    Raises:
        ValueError: fps, window or stride is not positive.
    """

    fps: float
    window: int
    stride: int
    offset: int = 0

    def __post_init__(self) -> None:
        if not (self.fps > 0 and self.window > 0 and self.stride > 0):
            raise ValueError(f"TimeGrid needs positive fps, window and stride, got {self}")

    @property
    def step(self) -> float:
        """Seconds from one feature to the next."""
        return self.stride / self.fps

    def count(self, frames: int) -> int:
        """Count the features of a video of ``frames`` frames: those whose centre lies inside it, and at least one."""
        return max(1, math.ceil((frames - self.offset - self.window / 2) / self.stride))

    def centers(self, length: int) -> np.ndarray:
        """Compute the centres of the first ``length`` features, seconds, float64 ``(length,)``."""
        return (self.offset + np.arange(length) * self.stride + self.window / 2) / self.fps

    def edges(self, length: int, duration: float) -> np.ndarray:
        """Compute the borders of the features' cells, seconds, float64 ``(length + 1,)``.

        Cell i spans ``edges[i]..edges[i + 1]``. Inner edges lie half-way between neighbouring centres; the outer ones
        are 0 and ``duration``.

        Args:
            length: number of features.
            duration: of the video, seconds.
        """
        centers = self.centers(length)
        inner = (centers[1:] + centers[:-1]) / 2
        return np.clip(np.concatenate([[0.0], inner, [duration]]), 0.0, duration)

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict for JSON; ``TimeGrid(**d)`` reads it back."""
        return asdict(self)


@dataclass(frozen=True)
class Interval:
    """One localized action: ``start`` < ``end`` in seconds, its class, and a score (higher is surer)."""

    start: float
    end: float
    label: str
    score: float

    @property
    def segment(self) -> tuple[float, float]:
        """Start and end as files hold them, see :func:`rounded`; at least a microsecond apart."""
        start, end = rounded(self.start), rounded(self.end)
        return start, end if end > start else rounded(start + 1e-6)


@dataclass(frozen=True)
class Activation:
    """The class activation map of one class in one video or image.

    Attributes:
        label: class name.
        score: probability that the video, or image, shows the class at all, 0..1.
        cam: activation in the network's own units (not normalised), float32: at each feature of a video ``(T,)``, or at
            each cell of a grid over the whole image ``(h, w)``.
    """

    label: str
    score: float
    cam: np.ndarray


Pooling = Literal["average", "max", "topk"]
ThresholdMode = Literal["max", "minmax"]


@dataclass(frozen=True)
class IntervalRule:
    """How a temporal CAM becomes intervals; see :func:`hasvideo.extents.find_intervals`.

    Attributes:
        threshold: fraction, 0..1, of the CAM's range from which a feature belongs to an action (paper: 0.5).
        mode: ``max`` cuts at ``threshold * max``; ``minmax`` at ``min + threshold * (max - min)``.
        merge_gap: seconds; intervals of one class that are no further apart become one; 0 merges none.
        min_duration: seconds; shorter intervals are dropped, after merging.
    """

    threshold: float = 0.5
    mode: ThresholdMode = "max"
    merge_gap: float = 0.0
    min_duration: float = 0.0


@dataclass(frozen=True)
class Detections:
    """All that was found in one video: what every writer takes and :func:`hasvideo.localize` returns.

    Attributes:
        video: id, unique in a batch (the file's stem unless two inputs share it).
        info: the file's own data.
        intervals: by falling score.
        activations: the classes that were considered, by falling video-level score.
        edges: borders of the CAM's cells, seconds, float64 ``(T + 1,)``; cell i spans ``edges[i]..edges[i+1]``.
        rule: how the activations became intervals.
        model: name of the model or path of the checkpoint.
    """

    video: str
    info: VideoInfo
    intervals: tuple[Interval, ...]
    activations: tuple[Activation, ...] = ()
    edges: np.ndarray = field(default_factory=lambda: np.zeros(1))
    rule: IntervalRule = IntervalRule()
    model: str = ""

    def to_results(self) -> list[dict[str, Any]]:
        """Make the video's entry of an ActivityNet submission: ``[{"label", "score", "segment": [start, end]}, ...]``.

        Its numbers are :func:`rounded`, so that scoring in memory gives what scoring the file gives.
        """
        return [{"label": i.label, "score": rounded(i.score), "segment": [*i.segment]} for i in self.intervals]

    def to_dataframe(self) -> pandas.DataFrame:
        """Make a data frame with a row for each interval: ``video, start, end, label, score``.

        Raises:
            HasvideoError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise HasvideoError("to_dataframe() needs pandas: pip install pandas") from error
        rows = [(self.video, i.start, i.end, i.label, i.score) for i in self.intervals]
        return pandas.DataFrame(rows, columns=["video", "start", "end", "label", "score"])


@dataclass(frozen=True)
class ImageInfo:
    """What an image file says of itself: its path, as given, and its size in pixels as displayed."""

    path: Path
    width: int
    height: int


@dataclass(frozen=True)
class Box:
    """One localized object: continuous corners in pixels of the image, its class, and a score (higher is surer).

    The pixel in column c covers ``[c, c + 1]``, so a box around all of an image is ``(0, 0, width, height)``.
    """

    xmin: float
    ymin: float
    xmax: float
    ymax: float
    label: str
    score: float

    @classmethod
    def from_corners(cls, corners: Sequence[float], label: str, score: float = 1.0) -> Box:
        """Make a box of ``(xmin, ymin, xmax, ymax)``."""
        xmin, ymin, xmax, ymax = map(float, corners)
        return cls(xmin, ymin, xmax, ymax, label, score)

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """``(xmin, ymin, xmax, ymax)``."""
        return self.xmin, self.ymin, self.xmax, self.ymax


@dataclass(frozen=True)
class BoxRule:
    """How a CAM becomes boxes; see :func:`hasvideo.extents.find_boxes`.

    Attributes:
        threshold: fraction, 0..1, of the CAM's range from which a pixel belongs to an object (paper: 0.2 for AlexNet,
            0.3 for GoogLeNet).
        mode: ``max`` cuts at ``threshold * max``; ``minmax`` at ``min + threshold * (max - min)``.
        every: whether every connected component gets a box; otherwise only the largest does.
    """

    threshold: float = 0.2
    mode: ThresholdMode = "max"
    every: bool = False


@dataclass(frozen=True)
class ImageDetections:
    """All that was found in one image: what the image writers take and :func:`hasvideo.localize` returns for an image.

    Attributes:
        image: id, unique in a batch (the file's stem unless two inputs share it).
        info: the file's own data.
        boxes: by falling score.
        activations: the classes that were considered, by falling image-level score; each CAM covers the whole image.
        rule: how the activations became boxes.
        model: path of the checkpoint.
        truth: boxes that are known, where they were given (their scores are 1); the pictures show them.
    """

    image: str
    info: ImageInfo
    boxes: tuple[Box, ...]
    activations: tuple[Activation, ...] = ()
    rule: BoxRule = BoxRule()
    model: str = ""
    truth: tuple[Box, ...] = ()


@dataclass(frozen=True)
class ImagePrediction:
    """What a method answers for one image.

    Attributes:
        classes: by falling score; more than five do no harm. Empty where the method only localizes.
        boxes: by falling score; of each class the first one counts.
    """

    classes: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()

    def box_of(self, label: str) -> Box | None:
        """Find the best box of a class; None if it has none."""
        return next((box for box in self.boxes if box.label == label), None)


IGNORE = 255
"""The number of pixels that do not count in true segments, as in PASCAL VOC."""


@dataclass(frozen=True)
class Segmentation:
    """The class of every pixel of one image: what the writers of segments take and :func:`hasvideo.localize` returns.

    Attributes:
        image: id, unique in a batch (the file's stem unless two inputs share it).
        info: the file's own data.
        classes: names of all classes of the model.
        labels: number of the class at each pixel, uint8 ``(H, W)``.
        model: path of the checkpoint.
        shares: share of the pixels, above 0 to 1, of each class that has any, the largest first; by default as the
            labels say.
        truth: the true numbers, uint8 ``(H, W)``, :data:`IGNORE` where none counts, if they are known; the pictures
            show them.
    """

    image: str
    info: ImageInfo
    classes: tuple[str, ...]
    labels: np.ndarray
    model: str = ""
    shares: dict[str, float] = field(default_factory=dict)
    truth: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not self.shares:
            counts = np.bincount(self.labels.ravel(), minlength=len(self.classes))
            order = [c for c in np.argsort(-counts, kind="stable").tolist() if counts[c]]
            shares = {self.classes[c]: float(counts[c] / self.labels.size) for c in order}
            object.__setattr__(self, "shares", shares)
