"""Paired bootstrap over videos (or images) and seeds: how sure a difference between two methods is; here in mAP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from hasvideo.metrics.detection import Matches, average_precision

_CHUNK = 5_000_000  # numbers looked at in one go: bounds the memory at some 300 MB

Run = TypeVar("Run")


@dataclass(frozen=True)
class Difference:
    """A difference in a measure, averaged over seeds; all values are shares, not percent.

    Attributes:
        mean: the measured difference.
        low: lower end of the bootstrap's 95 % interval (2.5th percentile).
        high: upper end of the bootstrap's 95 % interval (97.5th percentile).
        positive: share of the bootstrap's draws in which the difference is above 0.
    """

    mean: float
    low: float
    high: float
    positive: float


def paired_bootstrap(
    ours: Sequence[Matches],
    theirs: Sequence[Matches],
    tiou: Sequence[float] | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
    over_seeds: bool = True,
) -> Difference:
    """Compare the mAP of two methods, each run with the same seeds on the same videos; see :func:`compare_runs`.

    A class that is not among the drawn videos does not enter the draw's mean.

    Args:
        ours: one evaluation per seed.
        theirs: one evaluation per seed, with the same ground truth.
        tiou: thresholds over which mAP is averaged, all those evaluated where None.
        draws: number of draws.
        seed: of the random draws.
        over_seeds: draw seeds too, so that the interval also says what other seeds might give.

    Raises:
        ValueError: the numbers of seeds differ, or there are none.
        UsageError: a threshold was not evaluated.
    """
    videos = int(ours[0].known.sum()) if ours else 0
    measure = partial(mean_ap, tiou=tiou)
    return compare_runs(ours, theirs, measure, videos, draws=draws, seed=seed, over_seeds=over_seeds)[0]


def compare_runs(
    ours: Sequence[Run],
    theirs: Sequence[Run],
    measure: Callable[[Run, np.ndarray], np.ndarray],
    items: int,
    *,
    draws: int,
    seed: int,
    over_seeds: bool,
) -> list[Difference]:
    """Bootstrap the difference between two methods, each run with the same seeds on the same items.

    Every draw takes as many items (videos, images) as there are, with replacement, and as many seeds; both methods meet
    the same draw.

    Args:
        ours: one run per seed.
        theirs: one run per seed.
        measure: takes a run, and how many times each item is in each draw, ``(draws + 1, items)``; returns the measure
            in each draw, ``(draws + 1,)``, or M measures, ``(draws + 1, M)``.
        items: number of items.
        draws: number of draws.
        seed: of the random draws.
        over_seeds: draw seeds too, else take each once.

    Returns:
        One for each measure.

    Raises:
        ValueError: the numbers of seeds differ, or there are none.
    """
    if not len(ours) or len(ours) != len(theirs):
        raise ValueError(f"a paired bootstrap needs equal numbers of seeds, got {len(ours)} and {len(theirs)}")
    rng = np.random.default_rng(seed)
    counts = np.ones((draws + 1, items))  # the first row is the measurement itself: every item once
    counts[1:] = rng.multinomial(items, np.full(items, 1 / items), size=draws)
    gaps = np.stack([measure(a, counts) - measure(b, counts) for a, b in zip(ours, theirs, strict=True)])
    gaps = gaps.reshape(len(ours), draws + 1, -1)  # (S, draws + 1, M)
    picks = np.arange(len(ours))[:, None, None]
    if over_seeds:
        picks = rng.integers(0, len(ours), size=(len(ours), draws, 1))
    drawn = np.take_along_axis(gaps[:, 1:], picks, axis=0).mean(axis=0)
    low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
    positive = (drawn > 1e-12).mean(axis=0)  # where seeds cancel out, rounding leaves a little more or less than 0
    columns = zip(gaps[:, 0].mean(axis=0), low, high, positive, strict=True)
    return [Difference(*map(float, values)) for values in columns]


def mean_ap(matches: Matches, counts: np.ndarray, tiou: Sequence[float] | None = None) -> np.ndarray:
    """Average mAP over the thresholds, as if each video were there several times.

    Args:
        matches: an evaluation.
        counts: how many times each video of the subset is there, in the subset's order, ``(draws, V)``.
        tiou: the thresholds, all those evaluated where None.

    Returns:
        0..1, float64 ``(draws,)``.

    Raises:
        UsageError: a threshold was not evaluated.
    """
    strangers = np.ones((len(counts), len(matches.videos) - counts.shape[1]))  # videos that only detections name
    weights = np.concatenate([counts, strangers], axis=1)
    chosen = [matches.index(t) for t in (matches.tiou if tiou is None else tiou)]
    per_class = [_weighted_ap(matches, label, weights, chosen) for label in range(len(matches.classes))]
    return np.nanmean(per_class, axis=0)


def _weighted_ap(matches: Matches, label: int, weights: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """Average the AP of a class over some thresholds ``(draws,)``; NaN in draws without ground truth of the class."""
    positives = weights[:, matches.ground_truth.video[matches.ground_truth.label == label]].sum(axis=1)
    rows = np.flatnonzero(matches.detections.label == label)
    true, counted = matches.true_positives[chosen][:, rows], ~matches.dropped[chosen][:, rows]  # (T, D)
    step = max(1, _CHUNK // max(1, true.size))
    ap = np.full(len(weights), np.nan)
    drawn = np.flatnonzero(positives)
    for some in np.split(drawn, range(step, len(drawn), step)):
        weight = weights[some][:, None, matches.detections.video[rows]]  # (draws, 1, D)
        each = average_precision(
            weight * true, weight * counted, positives[some, None], matches.protocol == "activitynet"
        )
        ap[some] = each.mean(axis=1)
    return ap
