"""From a class activation map (CAM) to extents: threshold it, find connected components, measure each.

An extent is an interval in a video and a box in an image. The steps are the same:

1. :func:`cut_value` turns the rule's fraction into a value of the CAM; cells that reach it are in.
2. :func:`components` groups the cells that touch each other.
3. :func:`find_intervals` and :func:`find_boxes` give each group its borders and a score.

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
    """Find the value from which a cell of the CAM belongs to an extent.

    Args:
        cam: activation of one class, any number of dimensions, at least one cell.
        threshold: fraction, 0..1, of the range that :func:`cam_range` gives.
        mode: ``max`` cuts at ``threshold * max``, as in the paper; ``minmax`` at ``min + threshold * (max - min)``.

    Returns:
        The value, in the units of the CAM. In mode ``max`` a CAM that is nowhere positive has no extent: infinity.
    """
    low, high = cam_range(cam, mode)
    return low + threshold * (high - low) if high > 0 or mode == "minmax" else float("inf")


def cam_range(cam: np.ndarray, mode: ThresholdMode = "max") -> tuple[float, float]:
    """Find the two values of the CAM at which thresholds of 0 and of 1 cut; the arguments are :func:`cut_value`'s."""
    return (float(cam.min()) if mode == "minmax" else 0.0), float(cam.max())


def components(mask: np.ndarray) -> list[tuple[slice, ...]]:
    """Find the connected components of a bool array, and give the smallest slices around each, in scan order.

    Two cells are neighbours if they share a face: a border in time, a side of a pixel.
    """
    return _label(mask)[1]


def _label(mask: np.ndarray) -> tuple[np.ndarray, list[tuple[slice, ...]]]:
    """Label the components from 1 on, in an array of the mask's shape that is 0 outside of them; give their slices."""
    from scipy import ndimage

    numbers, _ = ndimage.label(mask)
    return numbers, [extent for extent in ndimage.find_objects(numbers) if extent is not None]


def find_intervals(activation: Activation, edges: np.ndarray, rule: IntervalRule) -> list[Interval]:
    """Find the intervals of one class in a video.

    Each run of cells that reach :func:`cut_value` is an interval, from the left edge of its first cell to the right
    edge of its last. First, intervals at most ``merge_gap`` apart are joined; then those shorter than ``min_duration``
    are dropped.

    The score is the mean of the CAM over the interval, divided by the maximum of the CAM over the video (at least 0),
    times the probability that the video shows the class: 0..1.

    Args:
        activation: CAM ``(T,)`` and probability of the class.
        edges: borders of the CAM's cells, seconds, ascending, ``(T + 1,)``.
        rule: how to threshold, join and drop.

    Returns:
        Intervals in order of time, none overlapping another.
    """
    cam = np.asarray(activation.cam, dtype=np.float64)
    inside = cam >= cut_value(cam, rule.threshold, rule.mode)
    inside &= np.diff(edges) > 0  # cells after the video's end have no length
    runs = [(run.start, run.stop) for (run,) in components(inside)]
    found = []
    for first, last in _join(runs, edges, rule.merge_gap):
        start, end = float(edges[first]), float(edges[last])
        if end - start >= rule.min_duration:
            score = activation.score * _relative_mean(cam[first:last], cam)
            found.append(Interval(start, end, activation.label, score))
    return found


def _join(runs: Sequence[tuple[int, int]], edges: np.ndarray, gap: float) -> list[tuple[int, int]]:
    """Join runs of cells, each ``(first, last + 1)``, at most ``gap`` seconds apart; a gap of 0 joins none."""
    joined: list[tuple[int, int]] = []
    for first, last in runs:
        if joined and gap > 0 and edges[first] - edges[joined[-1][1]] <= gap:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def find_boxes(activation: Activation, width: int, height: int, rule: BoxRule) -> list[Box]:
    """Find the boxes of one class in an image.

    The CAM is scaled to the image's pixels. A box fits tightly around a connected component of the pixels that reach
    :func:`cut_value`: around the largest component only, or around each if the rule says ``every``.

    The score is the mean of the CAM over the component, divided by the maximum of the CAM over the image (at least 0),
    times the probability that the image shows the class: 0..1.

    Args:
        activation: CAM ``(h, w)`` over the whole image, and probability of the class.
        width: of the image, pixels.
        height: of the image, pixels.
        rule: how to threshold, and which components count.

    Returns:
        Boxes, the one around the largest component first.
    """
    cam = scale_map(activation.cam, width, height)
    numbers, extents = _label(cam >= cut_value(cam, rule.threshold, rule.mode))
    sizes = np.bincount(numbers.ravel(), minlength=len(extents) + 1)[1:]
    largest_first = np.argsort(-sizes, kind="stable")
    boxes = []
    for index in largest_first if rule.every else largest_first[:1]:
        rows, columns = extents[index]
        component = cam[rows, columns][numbers[rows, columns] == index + 1]
        corners = (columns.start, rows.start, columns.stop, rows.stop)
        score = activation.score * _relative_mean(component, cam)
        boxes.append(Box.from_corners(corners, activation.label, score))
    return boxes


def _relative_mean(values: np.ndarray, cam: np.ndarray) -> float:
    highest = cam.max()
    return max(0.0, float(values.mean() / highest)) if highest > 0 else 0.0


def apply_rule(detections: Detections) -> Detections:
    """Recompute the intervals of a video from its activations, by its rule.

    >>> stricter = apply_rule(replace(detections, rule=IntervalRule(threshold=0.7)))

    Intervals of one class never overlap, so non-maximum suppression would have nothing to do.

    Args:
        detections: of one video; its intervals are replaced.

    Returns:
        The same with the new intervals, by falling score; equal scores by start.
    """
    found = [i for a in detections.activations for i in find_intervals(a, detections.edges, detections.rule)]
    return replace(detections, intervals=tuple(sorted(found, key=lambda i: (-i.score, i.start))))


def check_rule(rule: Rule) -> Rule:
    """Check the values of a rule, and return it.

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


def scale_map(cam: np.ndarray, width: int, height: int) -> np.ndarray:
    """Scale a map ``(h, w)`` over a whole image to the image's pixels, bilinear: float32 ``(height, width)``.

    The centres of the cells keep their place (``align_corners=False``). Between the outermost centres and the border
    of the image the values stay what they are at those centres.

    Args:
        cam: the map.
        width: of the image, pixels.
        height: of the image, pixels.
    """
    import torch
    from torch.nn import functional as F

    tensor = torch.from_numpy(np.ascontiguousarray(cam, np.float32))[None, None]
    return F.interpolate(tensor, (height, width), mode="bilinear", align_corners=False)[0, 0].numpy()


class ScaledMaps(Mapping[str, np.ndarray]):
    """Maps over whole images, read and scaled when they are asked for: tens of thousands would not fit in memory.

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
