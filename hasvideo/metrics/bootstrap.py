"""How sure a difference is: paired bootstrap over videos, or images, and seeds; in mAP here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hasvideo.metrics.detection import Matches

_CHUNK = 5_000_000  # numbers looked at in one go: bounds the memory at some 200 MB


@dataclass(frozen=True)
class Difference:
    """A difference in a measure, averaged over seeds; all values are shares, not percent.

    Attributes:
        mean: as measured.
        low, high: ends of the 95 % interval of the bootstrap (percentiles).
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
    """Interval of the difference in mAP between two methods, each run with the same seeds on the same videos.

    Every draw takes as many of the subset's videos as there are, with replacement, and as many seeds; both methods meet
    the same draw. A class that is not among the drawn videos does not enter the draw's mean.

    Args:
        ours, theirs: an evaluation a seed, with the same ground truth.
        tiou: thresholds over which mAP is averaged, all those evaluated where None.
        draws: number of draws.
        seed: of the draws.
        over_seeds: draw seeds too, so that the interval also says what other seeds might give.

    Raises:
        ValueError: the numbers of seeds differ, or there are none.
        UsageError: a threshold was not evaluated.
    """
    if not ours or len(ours) != len(theirs):
        raise ValueError(f"a paired bootstrap needs equal numbers of seeds, got {len(ours)} and {len(theirs)}")
    rng = np.random.default_rng(seed)
    counts = draw_counts(int(ours[0].known.sum()), draws, rng)
    gaps = np.stack([mean_ap(a, counts, tiou) - mean_ap(b, counts, tiou) for a, b in zip(ours, theirs, strict=True)])
    return differences(gaps[..., None], rng, over_seeds)[0]


def draw_counts(items: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """How many times each item is in each draw of as many, with replacement: float64 ``(draws + 1, items)``.

    The first row is the measurement itself: every item once.
    """
    counts = np.ones((draws + 1, items))
    counts[1:] = rng.multinomial(items, np.full(items, 1 / items), size=draws)
    return counts


def differences(gaps: np.ndarray, rng: np.random.Generator, over_seeds: bool) -> list[Difference]:
    """What measured and drawn differences between two methods say.

    Args:
        gaps: of S seeds for the rows of :func:`draw_counts`, in M measures, ``(S, draws + 1, M)``.
        rng: that drew the counts; draws the seeds now.
        over_seeds: draw seeds too, else take each once.

    Returns:
        One for each measure.
    """
    seeds, rows, _ = gaps.shape
    picks = rng.integers(0, seeds, size=(seeds, rows - 1, 1)) if over_seeds else np.arange(seeds)[:, None, None]
    drawn = np.take_along_axis(gaps[:, 1:], picks, axis=0).mean(axis=0)
    low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
    columns = zip(gaps[:, 0].mean(axis=0), low, high, (drawn > 0).mean(axis=0), strict=True)
    return [Difference(*map(float, values)) for values in columns]


def mean_ap(matches: Matches, counts: np.ndarray, tiou: Sequence[float] | None = None) -> np.ndarray:
    """Average mAP over the thresholds, as if each video were there several times.

    Args:
        matches: an evaluation.
        counts: how many times, for each video of the subset in its order, ``(draws, V)``.
        tiou: the thresholds, all those evaluated where None.

    Returns:
        0..1, float64 ``(draws,)``.

    Raises:
        UsageError: a threshold was not evaluated.
    """
    strangers = np.ones((len(counts), len(matches.videos) - counts.shape[1]))  # videos that only detections name
    weights = np.concatenate([counts, strangers], axis=1)
    chosen = [matches.index(t) for t in (matches.tiou if tiou is None else tiou)]
    true, counted = matches.true_positives[chosen], ~matches.dropped[chosen]  # (T, D)
    per_class = []
    for label in range(len(matches.classes)):
        positives = weights[:, matches.ground_truth.video[matches.ground_truth.label == label]].sum(axis=1)
        rows = np.flatnonzero(matches.detections.label == label)
        step = max(1, _CHUNK // max(1, len(rows) * len(chosen)))
        video, interpolate = matches.detections.video[rows], matches.protocol == "activitynet"
        area = [
            _area(weights[first : first + step, video], true[:, rows], counted[:, rows], interpolate)
            for first in range(0, len(weights), step)
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            per_class.append(np.concatenate(area) / positives)
    return np.nanmean(np.where(np.isfinite(per_class), per_class, np.nan), axis=0)


def _area(weight: np.ndarray, true: np.ndarray, counted: np.ndarray, interpolate: bool) -> np.ndarray:
    """Sum of precision over the true positives, mean over thresholds ``(draws,)``, for weights ``(draws, D)``."""
    right = weight[:, None] * true  # (draws, T, D)
    precision = np.cumsum(right, axis=2) / np.maximum(np.cumsum(weight[:, None] * counted, axis=2), 1e-12)
    if interpolate:
        precision = np.maximum.accumulate(precision[..., ::-1], axis=2)[..., ::-1]
    return (right * precision).sum(axis=2).mean(axis=1)
