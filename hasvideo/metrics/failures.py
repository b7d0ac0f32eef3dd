"""Kinds of misses: a box around several instances, around a part only, with context too, or elsewhere.

Hide-and-Seek names two cases in which it fails: instances that are close to each other are merged, and a context that
occurs together with the class is localized too. Boxes around a part only are what hiding should make rarer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from hasvideo.metrics.localization import IOU, Convention, box_area, box_iou, corners, intersection, truth_corners
from hasvideo.types import Box, ImagePrediction

Outcome = Literal["hit", "merged", "part", "context", "elsewhere", "no box"]

MISSES: tuple[Outcome, ...] = get_args(Outcome)[1:]
"""The ways to miss."""


@dataclass(frozen=True)
class FailureRule:
    """What counts as covered; shares of areas, 0..1.

    Attributes:
        iou: from which a box is a hit.
        covered: share of a ground-truth box that must lie inside the predicted one to be among several merged.
        inside: share of a box that must lie inside another to be a part of it.
    """

    iou: float = IOU
    covered: float = 0.7
    inside: float = 0.9


@dataclass(frozen=True)
class Failures:
    """The outcome of every image, in the order of the ground truth.

    Attributes:
        outcomes: by image id.
        ious: IoU of the box with the ground truth that it overlaps most, 0 without a box, by image id.
    """

    outcomes: dict[str, Outcome]
    ious: dict[str, float]

    def counts(self) -> dict[Outcome, int]:
        """Count the images of each outcome."""
        found = Counter(self.outcomes.values())
        return {outcome: found[outcome] for outcome in get_args(Outcome)}

    def shares(self) -> dict[Outcome, float | None]:
        """Compute what share of the misses is of each kind, 0..1; None if nothing was missed."""
        counts = self.counts()
        total = len(self.outcomes) - counts["hit"]
        return {kind: counts[kind] / total if total else None for kind in MISSES}


def find_failures(
    predictions: Mapping[str, ImagePrediction],
    truth: Mapping[str, Sequence[Box]],
    rule: FailureRule | None = None,
    convention: Convention = "continuous",
) -> Failures:
    """Judge the box that was predicted for each image's own class.

    Args:
        predictions: by image id; an image without one has the outcome ``no box``.
        truth: boxes by image id, at least one each; those of other classes than the first one's do not count.
        rule: what counts as covered.
        convention: what the corners mean, see :mod:`hasvideo.metrics.localization`.

    Raises:
        ValueError: an unknown convention.
    """
    rule = rule or FailureRule()
    found = {}
    for image, boxes in truth.items():
        box = predictions.get(image, ImagePrediction()).box_of(boxes[0].label)
        found[image] = judge_box(None if box is None else corners([box])[0], truth_corners(boxes), rule, convention)
    return Failures({image: o for image, (o, _) in found.items()}, {image: iou for image, (_, iou) in found.items()})


def judge_box(
    box: np.ndarray | None, truth: np.ndarray, rule: FailureRule, convention: Convention = "continuous"
) -> tuple[Outcome, float]:
    """Judge the box of one image: the first of these outcomes that applies, and the IoU.

    - ``no box``: nothing was predicted for the class.
    - ``hit``: an IoU of at least ``rule.iou`` with a ground-truth box.
    - ``merged``: at least two ground-truth boxes lie with a share ``rule.covered`` of their area inside the box.
    - ``part``: the box lies with a share ``rule.inside`` of its area inside one ground-truth box.
    - ``context``: a ground-truth box lies with a share ``rule.inside`` of its area inside the box.
    - ``elsewhere``: the rest: beside the object, or on its edge.

    Args:
        box: its corners ``(4,)``, None where there is no box.
        truth: corners of the image's ground truth ``(M, 4)``, at least one.
        rule: what counts as covered.
        convention: what the corners mean, see :mod:`hasvideo.metrics.localization`.
    """
    if box is None:
        return "no box", 0.0
    iou = float(box_iou(box[None], truth, convention).max())
    if iou >= rule.iou:
        return "hit", iou
    shared = intersection(box, truth, convention)
    of_truth = shared / np.maximum(box_area(truth, convention), np.finfo(float).tiny)
    of_box = shared / max(float(box_area(box, convention)), np.finfo(float).tiny)
    if (of_truth >= rule.covered).sum() >= 2:
        return "merged", iou
    if (of_box >= rule.inside).any():
        return "part", iou
    return ("context" if (of_truth >= rule.inside).any() else "elsewhere"), iou


def transitions(before: Failures, after: Failures) -> dict[Outcome, dict[Outcome, int]]:
    """Count the images by outcome before (outer key) and after (inner key).

    Args:
        before: outcomes of one method.
        after: outcomes of another one on the same images.

    Raises:
        ValueError: the images differ.
    """
    _check_same(before, after)
    pairs = Counter((outcome, after.outcomes[image]) for image, outcome in before.outcomes.items())
    return {row: {column: pairs[row, column] for column in get_args(Outcome)} for row in get_args(Outcome)}


class Change(NamedTuple):
    """An image and its IoU before and after."""

    image: str
    before: float
    after: float


def most_changed(before: Failures, after: Failures, count: int) -> tuple[list[Change], list[Change]]:
    """Find the images whose IoU rose most, and those whose IoU fell most, each by falling size of the change.

    Args:
        before: outcomes of one method.
        after: outcomes of another one on the same images.
        count: how many images to return at most, of either kind.

    Raises:
        ValueError: the images differ.
    """
    _check_same(before, after)
    changes = [Change(image, iou, after.ious[image]) for image, iou in before.ious.items()]
    rising = sorted(changes, key=lambda change: change.before - change.after)
    better = [change for change in rising if change.after > change.before]
    worse = [change for change in reversed(rising) if change.after < change.before]
    return better[:count], worse[:count]


def _check_same(before: Failures, after: Failures) -> None:
    if before.outcomes.keys() != after.outcomes.keys():
        raise ValueError("two methods can only be compared on the same images")
