"""Scores of segmentations: pixel accuracy, mean accuracy, mean IU and frequency-weighted IU from one confusion matrix.

With ``n_ij`` pixels of class i that were called j, ``t_i`` pixels of class i, and K classes that have pixels at all:

* pixel accuracy: ``sum_i n_ii / sum_i t_i``
* mean accuracy: ``1/K sum_i n_ii / t_i``
* mean IU: ``1/K sum_i n_ii / (t_i + sum_j n_ji - n_ii)``
* frequency-weighted IU: ``1 / sum_k t_k * sum_i t_i n_ii / (t_i + sum_j n_ji - n_ii)``

Pixels that carry the ignore label are not counted, whatever they were called. A class without a pixel in the ground
truth has no accuracy and no IU and is left out of both means; pixels that were called by its name are errors of their
own class all the same.

Source: Long, Shelhamer & Darrell, "Fully convolutional networks for semantic segmentation" (CVPR 2015), section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hasvideo.metrics.bootstrap import Difference, compare_runs
from hasvideo.types import IGNORE

METRICS = ("pixel_accuracy", "mean_accuracy", "mean_iu", "fw_iu")


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, num_classes: int, ignore: int = IGNORE) -> np.ndarray:
    """Count how many pixels of each class were called what.

    Args:
        truth: class numbers, any integer type and shape; ``ignore`` where a pixel does not count.
        predicted: class numbers in the same shape.
        num_classes: C.
        ignore: the label of pixels that do not count.

    Returns:
        int64 ``(C, C)``: a row a true class, a column a predicted one.

    Raises:
        ValueError: the shapes differ, or a number that counts is negative or not below ``num_classes``.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"ground truth of shape {truth.shape} and a prediction of shape {predicted.shape}")
    counted = truth != ignore
    true, called = truth[counted].astype(np.int64), predicted[counted].astype(np.int64)
    for name, numbers in (("ground truth", true), ("prediction", called)):
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < num_classes:
            raise ValueError(f"{name} with labels {numbers.min()} to {numbers.max()} for {num_classes} classes")
    return np.bincount(true * num_classes + called, minlength=num_classes**2).reshape(num_classes, num_classes)


def score_segmentation(confusion: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Compute the four metrics, and accuracy and IU of each class.

    Args:
        confusion: as :func:`confusion_matrix` gives it, summed over any number of images.
        classes: names of the C classes.

    Returns:
        ``pixel_accuracy``, ``mean_accuracy``, ``mean_iu``, ``fw_iu``, 0..1; ``classes``: by name ``accuracy``, ``iu``
        (None without pixels) and ``pixels``; ``absent``: names of the classes without pixels, which are in no mean.

    Raises:
        ValueError: no pixel counts, or the matrix is not of these classes.
    """
    if confusion.shape != (len(classes), len(classes)):
        raise ValueError(f"a confusion matrix of shape {confusion.shape} for {len(classes)} classes")
    if not confusion.sum():
        raise ValueError("no pixel to score: all carry the ignore label")
    accuracy, iu, pixels = _of_classes(confusion)
    by_class = {
        name: {"accuracy": _number(a), "iu": _number(u), "pixels": int(p)}
        for name, a, u, p in zip(classes, accuracy, iu, pixels, strict=True)
    }
    absent = [name for name, p in zip(classes, pixels, strict=True) if not p]
    return dict(zip(METRICS, _metrics(confusion).tolist(), strict=True)) | {"classes": by_class, "absent": absent}


def paired_bootstrap(
    ours: np.ndarray, theirs: np.ndarray, *, draws: int = 1000, seed: int = 0, over_seeds: bool = True
) -> dict[str, Difference]:
    """Compare the metrics of two methods, each run with the same seeds on the same images.

    See :func:`hasvideo.metrics.bootstrap.compare_runs`. A class that is not among the drawn images does not enter the
    draw's means.

    Args:
        ours: a confusion matrix for every seed and image, ``(S, N, C, C)``.
        theirs: the same of the other method.
        draws: number of draws.
        seed: of the random draws.
        over_seeds: draw seeds too, so that the interval also says what other seeds might give.

    Returns:
        One for each of :data:`METRICS`, by name.

    Raises:
        ValueError: the shapes differ, or there is nothing in them.
    """
    if ours.shape != theirs.shape or ours.size == 0:
        raise ValueError(f"a paired bootstrap needs equal seeds and images, got {ours.shape} and {theirs.shape}")

    def measure(confusion: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return _metrics(np.tensordot(counts, confusion, 1))

    found = compare_runs(
        list(ours), list(theirs), measure, ours.shape[1], draws=draws, seed=seed, over_seeds=over_seeds
    )
    return dict(zip(METRICS, found, strict=True))


def _metrics(confusion: np.ndarray) -> np.ndarray:
    """Compute the four metrics ``(..., 4)`` of confusion matrices ``(..., C, C)``."""
    accuracy, iu, pixels = _of_classes(confusion)
    share = pixels / pixels.sum(axis=-1, keepdims=True)
    right = np.einsum("...ii->...", confusion) / pixels.sum(axis=-1)
    return np.stack(
        [right, np.nanmean(accuracy, axis=-1), np.nanmean(iu, axis=-1), np.nansum(share * iu, axis=-1)], axis=-1
    )


def _of_classes(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute accuracy and IU (NaN without pixels) and count the pixels of each class, ``(..., C)`` each."""
    right, pixels = np.einsum("...ii->...i", confusion), confusion.sum(axis=-1)
    there = np.where(pixels > 0, pixels, np.nan)
    return right / there, right / (there + confusion.sum(axis=-2) - right), pixels


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
