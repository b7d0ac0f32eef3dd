"""How well objects are localized in images: the accuracies of ILSVRC, and the threshold-free MaxBoxAcc.

- **Top-1 Clas, Top-5 Clas**: the image's class is the first, or among the first five, of the predicted classes.
- **GT-known Loc**: the box predicted for the image's class has an IoU of at least 0.5 with any ground-truth box of that
  class. **Top-1 Loc, Top-5 Loc**: and the class is the first, or among the first five (ILSVRC; Zhou et al., CVPR 2016).
- **MaxBoxAcc, MaxBoxAccV2**: GT-known Loc at the best of many thresholds on the CAM (Choe et al., CVPR 2020).

Boxes are rows ``xmin, ymin, xmax, ymax``. References differ in what the last two mean, hence two conventions:
``continuous`` corners, where a box is ``xmax - xmin`` wide and all of an image is ``0, 0, width, height``; and
``inclusive`` indices of the first and the last pixel, where it is ``xmax - xmin + 1`` wide and all of an image is
``0, 0, width - 1, height - 1`` (the ILSVRC development kit, wsolevaluation).

numpy only; MaxBoxAcc and MaxBoxAccV2 need OpenCV too. Accuracies are shares, 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from hasvideo.metrics.bootstrap import Difference, compare_runs
from hasvideo.metrics.contours import contour_boxes
from hasvideo.types import Box, ImagePrediction

Convention = Literal["continuous", "inclusive"]
Measure = Literal["top1_class", "top5_class", "top1_loc", "top5_loc", "gt_known"]

TITLES: dict[Measure, str] = {
    "top1_class": "Top-1 Clas",
    "top5_class": "Top-5 Clas",
    "top1_loc": "Top-1 Loc",
    "top5_loc": "Top-5 Loc",
    "gt_known": "GT-known Loc",
}
"""What the measures are called in tables."""

IOU = 0.5
"""IoU from which a box is a hit, as in ILSVRC."""

MAX_BOX_IOUS = (0.3, 0.5, 0.7)
"""IoUs over which MaxBoxAccV2 is averaged."""

CENTERED_SHARE = (0.75, 0.7)
"""Shares of width and height of the centred box that is best on ``imagenet10``, see its README."""


@dataclass(frozen=True)
class LocalizationScores:
    """Which of N images are right, in the order of the ground truth.

    Attributes:
        images: ids.
        top1_class: whether the class is the first one predicted, bool ``(N,)``; all False if no classes were predicted.
        top5_class: whether the class is among the first five predicted, bool ``(N,)``; likewise.
        gt_known: whether the box of the image's class is a hit, bool ``(N,)``.
        iou: IoU of that box with the ground truth that it overlaps most, 0 without a box, float64 ``(N,)``.
        classified: whether any classes were predicted.
    """

    images: tuple[str, ...]
    top1_class: np.ndarray
    top5_class: np.ndarray
    gt_known: np.ndarray
    iou: np.ndarray
    classified: bool = True

    @property
    def top1_loc(self) -> np.ndarray:
        """Whether the first class is right and its box a hit, bool ``(N,)``."""
        return self.top1_class & self.gt_known

    @property
    def top5_loc(self) -> np.ndarray:
        """Whether one of the first five classes is right and its box a hit, bool ``(N,)``."""
        return self.top5_class & self.gt_known

    def summary(self) -> dict[str, float | None]:
        """Compute every :data:`Measure` as a share of the images; None for those that need classes where none are."""
        return {
            name: float(getattr(self, name).mean()) if self.classified or name == "gt_known" else None
            for name in get_args(Measure)
        }


def score_images(
    predictions: Mapping[str, ImagePrediction],
    truth: Mapping[str, Sequence[Box]],
    iou: float = IOU,
    convention: Convention = "continuous",
) -> LocalizationScores:
    """Compare what was predicted with the ground truth.

    Args:
        predictions: by image id; an image without one is missed.
        truth: boxes by image id, at least one each; the class of an image is that of its first box, and boxes of other
            classes do not count.
        iou: IoU from which a box is a hit, above 0 and at most 1.
        convention: what the corners of all boxes mean, see the module.

    Raises:
        ValueError: there is no ground truth, an image has no box, or an argument is out of its range.
    """
    if not 0 < iou <= 1:
        raise ValueError(f"iou is above 0 and at most 1, got {iou}")
    if not truth or not all(truth.values()):
        raise ValueError("every image of the ground truth needs a box, and there must be one")
    nothing = ImagePrediction()
    rows = [_score_image(predictions.get(image, nothing), boxes, convention) for image, boxes in truth.items()]
    rank, overlap = (np.array(column) for column in zip(*rows, strict=True))
    classified = any(prediction.classes for prediction in predictions.values())
    return LocalizationScores(tuple(truth), rank < 1, rank < 5, overlap >= iou, overlap, classified)


def _score_image(prediction: ImagePrediction, boxes: Sequence[Box], convention: Convention) -> tuple[float, float]:
    """Find the place of the image's class among those predicted, from 0, and the IoU of its box."""
    label = boxes[0].label
    rank = prediction.classes.index(label) if label in prediction.classes else np.inf
    found = prediction.box_of(label)
    if found is None:
        return rank, 0.0
    return rank, float(box_iou(corners([found]), truth_corners(boxes), convention).max())


def truth_corners(boxes: Sequence[Box]) -> np.ndarray:
    """Take the corners of the ground truth that counts: boxes of the first one's class, float64 ``(M, 4)``."""
    return corners([box for box in boxes if box.label == boxes[0].label])


def corners(boxes: Sequence[Box]) -> np.ndarray:
    """Turn boxes into rows, float64 ``(N, 4)``."""
    return np.array([box.corners for box in boxes], np.float64).reshape(-1, 4)


def box_iou(a: np.ndarray, b: np.ndarray, convention: Convention = "continuous") -> np.ndarray:
    """Compute the intersection over union of every box of one list with every box of another.

    Args:
        a: boxes ``(N, 4)``.
        b: boxes ``(M, 4)``.
        convention: what the corners mean, see the module.

    Returns:
        0..1, float64 ``(N, M)``; 0 where a box has no area.

    Raises:
        ValueError: an unknown convention.
    """
    a, b = np.asarray(a, np.float64)[:, None], np.asarray(b, np.float64)[None]
    shared = intersection(a, b, convention)
    union = box_area(a, convention) + box_area(b, convention) - shared
    return np.divide(shared, union, out=np.zeros(shared.shape), where=union > 0)


def box_area(boxes: np.ndarray, convention: Convention = "continuous") -> np.ndarray:
    """Compute the areas of boxes in pixels.

    Args:
        boxes: ``(..., 4)``.
        convention: what the corners mean, see the module.

    Returns:
        float64 ``(...)``; 0 for boxes that end before they begin.

    Raises:
        ValueError: an unknown convention.
    """
    if convention not in get_args(Convention):
        raise ValueError(f"unknown box convention {convention!r}; accepted: {', '.join(get_args(Convention))}")
    sides = boxes[..., 2:] - boxes[..., :2] + (convention == "inclusive")
    return np.maximum(sides, 0).prod(axis=-1)


def intersection(a: np.ndarray, b: np.ndarray, convention: Convention = "continuous") -> np.ndarray:
    """Compute the areas in pixels that pairs of boxes share.

    Args:
        a: boxes ``(..., 4)``.
        b: boxes whose shape broadcasts with that of ``a``.
        convention: what the corners mean, see the module.

    Raises:
        ValueError: an unknown convention.
    """
    shared = np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], axis=-1)
    return box_area(shared, convention)


def paired_difference(
    ours: Sequence[LocalizationScores],
    theirs: Sequence[LocalizationScores],
    measure: Measure = "gt_known",
    *,
    draws: int = 1000,
    seed: int = 0,
    over_seeds: bool = True,
) -> Difference:
    """Compare the accuracy of two methods, each run with the same seeds on the same images.

    See :func:`hasvideo.metrics.bootstrap.compare_runs`.

    Args:
        ours: scores of one run per seed.
        theirs: scores of one run per seed, of the same images in the same order.
        measure: which accuracy.
        draws: number of draws.
        seed: of the random draws.
        over_seeds: draw seeds too, so that the interval also says what other seeds might give.

    Raises:
        ValueError: the numbers of seeds differ, or there are none; the images differ; an unknown measure.
    """
    if len({scores.images for scores in (*ours, *theirs)}) > 1:
        raise ValueError("a paired bootstrap needs the same images in the same order in every run")
    if measure not in get_args(Measure):
        raise ValueError(f"unknown measure {measure!r}; accepted: {', '.join(get_args(Measure))}")

    def accuracy(scores: LocalizationScores, counts: np.ndarray) -> np.ndarray:
        return counts @ getattr(scores, measure) / len(scores.images)

    images = len(ours[0].images) if ours else 0
    return compare_runs(ours, theirs, accuracy, images, draws=draws, seed=seed, over_seeds=over_seeds)[0]


def whole_image(
    truth: Mapping[str, Sequence[Box]], sizes: Mapping[str, tuple[int, int]], convention: Convention = "continuous"
) -> dict[str, ImagePrediction]:
    """Predict the whole image as the box of every image, which takes no look at any.

    Args:
        truth: boxes by image id, which say the images and their classes.
        sizes: width and height of every image, pixels.
        convention: what the corners of the predicted boxes mean, see the module.
    """
    return centered_box(truth, sizes, (1.0, 1.0), convention)


def centered_box(
    truth: Mapping[str, Sequence[Box]],
    sizes: Mapping[str, tuple[int, int]],
    share: tuple[float, float] = CENTERED_SHARE,
    convention: Convention = "continuous",
) -> dict[str, ImagePrediction]:
    """Predict a box in the middle of every image, which takes no look at any.

    Args:
        truth: boxes by image id, which say the images and their classes.
        sizes: width and height of every image, pixels.
        share: share of the image's width, and of its height, that the box has, 0..1.
        convention: what the corners of the predicted boxes mean, see the module.
    """
    last = 1.0 if convention == "inclusive" else 0.0
    predictions = {}
    for image, boxes in truth.items():
        (width, height), (x, y) = sizes[image], share
        left, top = width * (1 - x) / 2, height * (1 - y) / 2
        box = Box(left, top, width - left - last, height - top - last, boxes[0].label, 1.0)
        predictions[image] = ImagePrediction(boxes=(box,))
    return predictions


def score_baselines(
    truth: Mapping[str, Sequence[Box]],
    sizes: Mapping[str, tuple[int, int]],
    iou: float = IOU,
    convention: Convention = "continuous",
) -> dict[str, float]:
    """Compute the GT-known Loc of the whole image and of the centred box.

    Args:
        truth: boxes by image id, at least one each.
        sizes: width and height of every image, pixels.
        iou: IoU from which a box is a hit, above 0 and at most 1.
        convention: what the corners of all boxes mean, see the module.

    Returns:
        Shares, 0..1, by name of the baseline.
    """
    blind = {
        "whole image": whole_image(truth, sizes, convention),
        "centred box": centered_box(truth, sizes, CENTERED_SHARE, convention),
    }
    return {name: float(score_images(found, truth, iou, convention).gt_known.mean()) for name, found in blind.items()}


@dataclass(frozen=True)
class MaxBoxAcc:
    """GT-known Loc at T thresholds on the CAM and I thresholds of IoU.

    Attributes:
        ious: IoUs from which a box is a hit ``(I,)``.
        thresholds: shares of the CAM's range ``(T,)``.
        curve: accuracy, 0..1 ``(I, T)``.
    """

    ious: tuple[float, ...]
    thresholds: np.ndarray
    curve: np.ndarray

    @property
    def best(self) -> dict[float, float]:
        """By IoU, the accuracy at the threshold that is best for it."""
        return dict(zip(self.ious, self.curve.max(axis=1).tolist(), strict=True))

    @property
    def best_threshold(self) -> dict[float, float]:
        """By IoU, the (first) threshold that is best for it."""
        return dict(zip(self.ious, self.thresholds[self.curve.argmax(axis=1)].tolist(), strict=True))

    @property
    def mean(self) -> float:
        """Mean of ``best`` over the IoUs: MaxBoxAccV2 is this."""
        return float(np.mean(list(self.best.values())))


def max_box_acc(
    cams: Mapping[str, np.ndarray],
    truth: Mapping[str, Sequence[Box]],
    sizes: Mapping[str, tuple[int, int]],
    *,
    every: bool = True,
    ious: Sequence[float] = MAX_BOX_IOUS,
    thresholds: np.ndarray | None = None,
    convention: Convention = "inclusive",
) -> MaxBoxAcc:
    """Score boxes at every threshold on the CAMs: an image counts if any box at the threshold is a hit.

    As defined by Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right" (CVPR 2020) and, for V2,
    in the extended version, and as their code (clovaai/wsolevaluation) does it:

    - ``every=True``, mean over IoUs 0.3, 0.5 and 0.7: **MaxBoxAccV2**; ``every=False`` at IoU 0.5: **MaxBoxAcc**.
    - A CAM becomes grey values from 0 (its minimum) to 255 (its maximum), rounded down; at threshold ``t`` the pixels
      above ``int(255 t)`` count. OpenCV finds the contours, those around holes too, and each has a box (``every=True``)
      or only the one with the largest ``contourArea``.
    - A box reaches from its first pixel to the one behind its last, but not beyond the last pixel of the map; widths
      are ``xmax - xmin + 1``; ground truth is scaled to the map's size and rounded down to whole pixels.
    - A CAM that is the same everywhere has no contour; its box is pixel ``0, 0``.

    CAMs come in their final size here; the code scales them to 224 x 224, bicubic.

    Args:
        cams: maps ``(H, W)`` over the whole image, of the image's class, by image id. An image without one is missed.
        truth: boxes by image id as in :func:`score_images`, in continuous corners or inclusive indices.
        sizes: width and height of every image, pixels.
        every: compare the boxes of all contours with the ground truth, else the largest contour's only.
        ious: IoUs from which a box is a hit.
        thresholds: shares of the CAM's range, from 0 to below 1; by default 0, 0.01 ... 0.99. (The code's default is
            steps of 0.001, but there are only 255 different cuts.)
        convention: ``inclusive`` is all of the above; ``continuous`` is what is meant: a box ends behind its last
            pixel and is ``xmax - xmin`` wide, and ground truth is not rounded.

    Raises:
        UsageError: OpenCV is not installed.
        ValueError: there is no ground truth, a CAM is not finite, or a threshold is out of range.
    """
    thresholds = np.arange(0, 1, 0.01) if thresholds is None else np.asarray(thresholds, np.float64)
    if not truth or not len(thresholds) or thresholds.min() < 0 or thresholds.max() >= 1:
        raise ValueError("MaxBoxAcc needs ground truth, and thresholds from 0 to below 1")
    cuts, which = np.unique((thresholds * 255).astype(int), return_inverse=True)
    hits = np.zeros((len(ious), len(cuts)))
    for image in truth:
        if image in cams:
            cam = cams[image]
            boxes = contour_boxes(cam, cuts, largest=not every)
            targets = _scale(truth_corners(truth[image]), sizes[image], cam.shape)
            if convention == "inclusive":
                height, width = cam.shape
                boxes = [np.minimum(at_cut, [width, height, width - 1, height - 1]) for at_cut in boxes]
                targets = np.trunc(targets)
            hits += _best_iou(boxes, targets, convention) >= np.asarray(ious)[:, None]
    return MaxBoxAcc(tuple(ious), thresholds, (hits / len(truth))[:, which])


def _scale(boxes: np.ndarray, image_size: tuple[int, int], map_shape: tuple[int, ...]) -> np.ndarray:
    """Scale boxes ``(M, 4)`` from an image's width and height to a map's height and width."""
    height, width = map_shape
    # Multiplied first, as in the published code: dividing first sometimes rounds to another pixel.
    return boxes * [width, height, width, height] / [*image_size, *image_size]


def _best_iou(boxes: Sequence[np.ndarray], targets: np.ndarray, convention: Convention) -> np.ndarray:
    """Find the highest IoU of any box at each cut with any of the targets, float64 ``(cuts,)``."""
    # Without a contour the published code takes pixel 0, 0, which in continuous corners has no area.
    found = [at_cut if len(at_cut) else np.zeros((1, 4)) for at_cut in boxes]
    first = np.cumsum([0, *map(len, found[:-1])])  # of each cut, its first row among all
    overlap = box_iou(np.concatenate(found), targets, convention).max(axis=1)
    return np.maximum.reduceat(overlap, first)
