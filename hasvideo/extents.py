"""From a class activation map to extents: threshold, connected components, intervals or boxes.

Source: Hide-and-Seek (Singh & Lee, ICCV 2017), sections 3.2 and 3.3, after CAM (Zhou et al., CVPR 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar, get_args

import numpy as np

from hasvideo.errors import UsageError
from hasvideo.types import Activation, Box, BoxRule, Detections, Interval, IntervalRule, ThresholdMode

Rule = TypeVar("Rule", IntervalRule, BoxRule)


def cut_value(cam: np.ndarray, threshold: float, mode: ThresholdMode = "max") -> float:
    """The value from which a cell of the CAM belongs to the extent.

    Args:
        cam: activation of one class, any number of dimensions, at least one cell.
        threshold: fraction, 0..1.
        mode: ``max``: ``threshold * max`` (the paper's), where a CAM that is nowhere positive has no extent (infinity);
            ``minmax``: ``min + threshold * (max - min)``.
    """
    low, high = cam_range(cam, mode)
    return low + threshold * (high - low) if high > 0 or mode == "minmax" else float("inf")


def cam_range(cam: np.ndarray, mode: ThresholdMode = "max") -> tuple[float, float]:
    """The values of a CAM at which thresholds of 0 and of 1 cut; see :func:`cut_value`."""
    return (float(cam.min()) if mode == "minmax" else 0.0), float(cam.max())


def components(mask: np.ndarray) -> list[tuple[slice, ...]]:
    """Bounding slices of the connected components (neighbours share a face) of a bool array, in scan order."""
    from scipy import ndimage

    labelled, _ = ndimage.label(mask)
    return [extent for extent in ndimage.find_objects(labelled) if extent is not None]


def find_intervals(activation: Activation, edges: np.ndarray, rule: IntervalRule) -> list[Interval]:
    """Intervals of one class, in order of time.

    Cells with ``cam >= cut_value`` are in; every continuous run of them is an interval from the first one's left edge
    to the last one's right edge. Intervals no more than ``merge_gap`` apart become one; then those shorter than
    ``min_duration`` are dropped. The score is the mean of the CAM over the interval's cells, as a fraction of the CAM's
    maximum over the video and not below 0, times the class's video-level probability: 0..1.

    Args:
        activation: CAM ``(T,)`` and probability.
        edges: borders of its cells, seconds, ascending, ``(T + 1,)``.
        rule: threshold and clean-up.
    """
    cam = np.asarray(activation.cam, dtype=np.float64)
    mask = cam >= cut_value(cam, rule.threshold, rule.mode)
    mask &= np.diff(edges) > 0  # a cell that the video's end cut to nothing
    runs = [(run.start, run.stop) for (run,) in components(mask)]
    found = []
    for first, last in _merge(runs, edges, rule.merge_gap):
        start, end = float(edges[first]), float(edges[last])
        if end - start >= rule.min_duration:
            found.append(Interval(start, end, activation.label, activation.score * _relative_mean(cam, first, last)))
    return found


def find_boxes(activation: Activation, width: int, height: int, rule: BoxRule) -> list[Box]:
    """Boxes of one class in an image, by falling size of their components.

    The CAM is scaled to the image (bilinear); pixels with ``cam >= cut_value`` are in; a box is tight around a
    connected component (neighbours share a side): around the largest, or with ``rule.every`` around each. The score is
    that of intervals: the mean of the CAM over the component, as a fraction of the CAM's maximum over the image and not
    below 0, times the class's probability: 0..1. A CAM that is nowhere positive has no box in mode ``max``.

    Args:
        activation: CAM ``(h, w)`` over the whole image, and probability.
        width, height: pixels of the image.
        rule: threshold, and which components.
    """
    from scipy import ndimage

    cam = scale_map(activation.cam, width, height)
    labelled, count = ndimage.label(cam >= cut_value(cam, rule.threshold, rule.mode))
    sizes = np.bincount(labelled.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")[: None if rule.every else 1]
    extents = ndimage.find_objects(labelled)
    boxes = []
    for index in order:
        rows, columns = extents[index]
        mean, highest = cam[rows, columns][labelled[rows, columns] == index + 1].mean(), cam.max()
        score = activation.score * max(0.0, float(mean / highest)) if highest > 0 else 0.0
        corners = (columns.start, rows.start, columns.stop, rows.stop)
        boxes.append(Box.from_corners(corners, activation.label, score))
    return boxes


def scale_map(cam: np.ndarray, width: int, height: int) -> np.ndarray:
    """A map ``(h, w)`` over a whole image scaled to its pixels, float32 ``(height, width)``, bilinear.

    Cell centres keep their place (``align_corners=False``); beyond the outermost centres the map goes on unchanged.
    """
    import torch
    from torch.nn import functional as F

    tensor = torch.from_numpy(np.ascontiguousarray(cam, np.float32))[None, None]
    return F.interpolate(tensor, (height, width), mode="bilinear", align_corners=False)[0, 0].numpy()


class ScaledMaps(Mapping[str, np.ndarray]):
    """Maps over whole images, scaled when they are asked for: tens of thousands of them need not be in memory at once.

    Args:
        images: ids.
        read: gives the map ``(h, w)`` of one.
        side: pixels of both sides of what comes out; wsolevaluation has MaxBoxAcc swept at 224.
    """

    def __init__(self, images: Sequence[str], read: Callable[[str], np.ndarray], side: int = 224) -> None:
        self._images, self._read, self._side = dict.fromkeys(images), read, side

    def __getitem__(self, image: str) -> np.ndarray:
        cam = self._read(image)
        return cam if cam.shape == (self._side, self._side) else scale_map(cam, self._side, self._side)

    def __contains__(self, image: object) -> bool:
        return image in self._images

    def __iter__(self) -> Iterator[str]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)


def _merge(runs: Sequence[tuple[int, int]], edges: np.ndarray, gap: float) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in runs:
        if merged and gap > 0 and edges[first] - edges[merged[-1][1]] <= gap:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged


def _relative_mean(cam: np.ndarray, first: int, last: int) -> float:
    highest = cam.max()
    return max(0.0, float(cam[first:last].mean() / highest)) if highest > 0 else 0.0


def read_detections(detections: Detections) -> Detections:
    """Recompute the intervals of one video from its activations, by its rule.

    Those of one class are disjoint, so that nothing is left for non-maximum suppression.

    Args:
        detections: of one video; its intervals do not matter.

    Returns:
        The same with the intervals by falling score, ties by start.
    """
    found = [i for a in detections.activations for i in find_intervals(a, detections.edges, detections.rule)]
    return replace(detections, intervals=tuple(sorted(found, key=lambda i: (-i.score, i.start))))


def check_rule(rule: Rule) -> Rule:
    """The rule itself.

    Raises:
        UsageError: a value is out of its range.
    """
    if not 0 <= rule.threshold <= 1:
        raise UsageError(f"threshold is a fraction from 0 to 1, got {rule.threshold}")
    if rule.mode not in get_args(ThresholdMode):
        raise UsageError(f"unknown threshold mode {rule.mode!r}; accepted: {', '.join(get_args(ThresholdMode))}")
    if isinstance(rule, IntervalRule) and not (rule.merge_gap >= 0 and rule.min_duration >= 0):  # NaN is neither
        raise UsageError(f"merge gap and minimum duration are seconds >= 0, got {rule.merge_gap}, {rule.min_duration}")
    return rule
