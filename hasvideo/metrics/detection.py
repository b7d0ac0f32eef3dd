"""Mean average precision of temporal detections, exactly as the field's two evaluators compute it.

``docs/formats.md`` states both protocols side by side. They differ in who chooses: in ``activitynet`` the
detections, by falling score, each take the ground truth they overlap most; in ``thumos14`` the ground truths, in
file order, each take the detection. Either way it is one choice after another among what is still free, so both
are the same function with the roles exchanged (:func:`choose_in_turn`).

Sources: the ActivityNet evaluation, and the official THUMOS 2014 kit in its 2015 version (``TH14evalDet_Updated.m``).

numpy only. Times are seconds, AP and shares are 0..1.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from hasvideo.datasets.annotations import (
    AMBIGUOUS,
    THUMOS14_CLASSES,
    Annotations,
    Segments,
    parse_annotations,
    parse_detections,
)
from hasvideo.datasets.names import same_videos
from hasvideo.errors import UsageError
from hasvideo.types import Detections

PROTOCOLS = ("activitynet", "thumos14")
AVERAGES = {"0.1:0.5": range(1, 6), "0.1:0.7": range(1, 8), "0.3:0.7": range(3, 8)}
"""The ranges of tIoU over which papers average mAP, in tenths."""

ANY_CLASS = "any class"
"""Name of the one class there is in class-agnostic mode."""

BACKGROUND_TIOU = 0.1
"""Below this overlap with every ground truth a false positive is background (DETAD, Alwassel et al. 2018)."""

AnyDetections = Mapping[str, Any] | Segments | Detections | Iterable[Detections]
AnyGroundTruth = Mapping[str, Any] | Annotations

# Pairs of a detection and a ground truth looked at in one go: bounds the memory at about 100 MB.
_CHUNK = 1_000_000


def mean_average_precision(
    detections: AnyDetections,
    ground_truth: AnyGroundTruth,
    protocol: str = "activitynet",
    tiou: Sequence[float] | np.ndarray | None = None,
    *,
    subset: str | None = None,
    classes: Sequence[str] | None = None,
    class_agnostic: bool = False,
    ignore_unknown: bool = False,
) -> dict[str, Any]:
    """Average precision of every class at every tIoU threshold, and their means.

    Args:
        detections: a loaded ActivityNet submission, what ``load_detections`` or ``localize`` return, or several of
            the latter.
        ground_truth: a loaded ActivityNet database, or what ``load_annotations`` returns.
        protocol: ``activitynet`` or ``thumos14``.
        tiou: thresholds, each above 0 and at most 1; by default 0.1, 0.2 ... 0.9.
        subset: which videos to score on; by default the only subset that has instances, else ``test``.
        classes: which classes to score; by default those of the subset's ground truth (``activitynet``) or the 20
            of THUMOS14 (``thumos14``).
        class_agnostic: treat all classes as one.
        ignore_unknown: drop detections in videos outside the subset, instead of counting them as false positives.

    Returns:
        ``mAP`` and ``AP[class]``: dicts by threshold (``"0.5"``), 0..1; a class without ground truth has AP None
        and does not enter the mean. ``average_mAP`` over the thresholds, ``averages`` over the usual ranges that
        the thresholds contain; ``protocol``, ``subset``, ``thresholds``, ``counts``, ``instances`` by class.

    Raises:
        UsageError: unknown protocol, subset or class, or a threshold that is out of range or given twice.
        HasvideoError: a wrong entry, such as a NaN score or a reversed segment, or a video's name that may be that of
            either of two; the message names it.
    """
    return match(
        detections,
        ground_truth,
        protocol,
        tiou,
        subset=subset,
        classes=classes,
        class_agnostic=class_agnostic,
        ignore_unknown=ignore_unknown,
    ).summary()


@dataclass(frozen=True)
class Matches:
    """Which detection found which ground truth, and every figure that follows from it.

    T thresholds, D detections by falling score, G ground truths in file order, C classes, V videos.

    Attributes:
        protocol: ``activitynet`` or ``thumos14``.
        subset: name of the subset, as the file spells it.
        tiou: thresholds, float64 ``(T,)``.
        detections: those of the scored classes, D rows, ``label`` and ``video`` indexing ``classes`` and ``videos``.
        ground_truth: G rows, indexed likewise.
        ambiguous: the ``Ambiguous`` intervals, indexed likewise.
        known: which videos belong to the subset, bool ``(V,)``.
        found_by: detection that found each ground truth, or -1, int ``(T, G)``.
        dropped: detections that are neither right nor wrong (``thumos14``), bool ``(T, D)``.
    """

    protocol: str
    subset: str
    tiou: np.ndarray
    detections: Segments
    ground_truth: Segments
    ambiguous: Segments
    known: np.ndarray
    found_by: np.ndarray
    dropped: np.ndarray

    @property
    def classes(self) -> tuple[str, ...]:
        """The scored classes."""
        return self.ground_truth.labels

    @property
    def videos(self) -> tuple[str, ...]:
        """All videos of the subset, then those that only detections name."""
        return self.ground_truth.videos

    @property
    def true_positives(self) -> np.ndarray:
        """Which detections found a ground truth, bool ``(T, D)``."""
        return _finders(self.found_by, len(self.detections))

    def summary(self) -> dict[str, Any]:
        """Compute what :func:`mean_average_precision` returns."""
        ap = self._average_precision(self.detections.label, self.ground_truth.label, len(self.classes))
        mean = np.array([_mean(column) for column in ap.T])
        return {
            "protocol": self.protocol,
            "subset": self.subset,
            "thresholds": [float(name) for name in self._names()],
            "mAP": self._by_threshold(mean),
            "average_mAP": _or_none(_mean(mean)),
            "averages": self._averages(mean),
            "AP": {name: self._by_threshold(row) for name, row in zip(self.classes, ap, strict=True)},
            "instances": dict(zip(self.classes, self._instances().tolist(), strict=True)),
            "counts": self._counts(),
        }

    def by_video(self) -> dict[str, dict[str, Any]]:
        """Count ``instances``, ``detections`` and ``true_positives`` per video, and compute its ``mAP`` by threshold.

        The mAP of a video is the mean AP of the classes it shows, within this video; None if it shows none.
        """
        classes, total = len(self.classes), len(self.videos)
        ap = self._average_precision(
            _cell(self.detections, classes), _cell(self.ground_truth, classes), total * classes
        )
        ap = ap.reshape(total, classes, len(self.tiou))
        true = np.stack([np.bincount(self.detections.video[row], minlength=total) for row in self.true_positives])
        instances = np.bincount(self.ground_truth.video, minlength=total).tolist()
        detections = np.bincount(self.detections.video, minlength=total).tolist()
        return {
            name: {
                "instances": instances[v],
                "detections": detections[v],
                "true_positives": dict(zip(self._names(), true[:, v].tolist(), strict=True)),
                "mAP": self._by_threshold(np.array([_mean(column) for column in ap[v].T])),
            }
            for v, name in enumerate(self.videos)
        }

    def errors(self) -> dict[str, dict[str, dict[str, float | int | None]]]:
        """Sort false positives by kind, per threshold: ``count`` and ``share`` (0..1), after DETAD (Alwassel 2018).

        A false positive is judged by the ground truth of any class that it overlaps most (its own class on a tie):
        ``background`` if that overlap is below 0.1 and the threshold, ``wrong_class`` if that is of another class, else
        ``double_detection`` if the overlap would do for a match, else ``localization``. DETAD's "confusion" (another
        class, overlap below the threshold) is part of ``wrong_class``. Together with ``true_positive`` these are
        shares of the detections; ``missed`` is the share of the ground truths that nothing found.
        """
        overlap, own_class = self._best_overlap()
        true = self.true_positives
        result = {}
        for t, name in enumerate(self._names()):
            wrong = ~true[t] & ~self.dropped[t]
            enough = _reaches(overlap, self.tiou[t], self.protocol)
            near = enough | (overlap >= BACKGROUND_TIOU)
            kinds = {
                "true_positive": true[t],
                "double_detection": wrong & near & own_class & enough,
                "wrong_class": wrong & near & ~own_class,
                "localization": wrong & near & own_class & ~enough,
                "background": wrong & ~near,
            }
            judged = len(self.detections) - int(self.dropped[t].sum())
            shares = {kind: _share(int(of.sum()), judged) for kind, of in kinds.items()}
            missed = int((self.found_by[t] < 0).sum())
            result[name] = shares | {"missed": _share(missed, len(self.ground_truth))}
        return result

    def precision_recall(self, tiou: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Compute precision and recall after each detection, by falling score, for each class with ground truth.

        Args:
            tiou: one of the thresholds.

        Returns:
            By class: precision and recall, float64 of the same length.

        Raises:
            UsageError: ``tiou`` is not among the thresholds.
        """
        t = self.index(tiou)
        true = self.true_positives[t]
        curves = {}
        for c, positives in enumerate(self._instances()):
            rows = np.flatnonzero((self.detections.label == c) & ~self.dropped[t])
            right = np.cumsum(true[rows])
            if positives:
                curves[self.classes[c]] = (right / np.arange(1, len(rows) + 1), right / positives)
        return curves

    def index(self, tiou: float) -> int:
        """Find the position of a threshold.

        Args:
            tiou: one of the thresholds.

        Raises:
            UsageError: it is not among the thresholds.
        """
        names = self._names()
        if _name(tiou) not in names:
            raise UsageError(f"tIoU {tiou:g} was not evaluated; thresholds: {', '.join(names)}")
        return names.index(_name(tiou))

    def _average_precision(self, of_detection: np.ndarray, of_truth: np.ndarray, groups: int) -> np.ndarray:
        """Compute the AP within each group, float64 ``(groups, T)``; NaN for groups without ground truth."""
        positives = np.bincount(of_truth, minlength=groups)
        order = np.argsort(of_detection, kind="stable")
        borders = np.searchsorted(of_detection[order], np.arange(groups + 1))
        true, counted = self.true_positives[:, order], ~self.dropped[:, order]
        ap = np.full((groups, len(self.tiou)), np.nan)
        for group in np.flatnonzero(positives):
            rows = slice(borders[group], borders[group + 1])
            interpolate = self.protocol == "activitynet"
            ap[group] = average_precision(true[:, rows], counted[:, rows], int(positives[group]), interpolate)
        return ap

    def _best_overlap(self) -> tuple[np.ndarray, np.ndarray]:
        """Find each detection's largest overlap with any ground truth of its video, and if that is of its class."""
        own, other = np.zeros(len(self.detections)), np.zeros(len(self.detections))
        for d, g, overlap in _overlaps(self.detections, self.ground_truth, self.protocol, by_class=False):
            same = self.detections.label[d] == self.ground_truth.label[g]
            np.maximum.at(own, d[same], overlap[same])
            np.maximum.at(other, d[~same], overlap[~same])
        return np.maximum(own, other), own >= other

    def _instances(self) -> np.ndarray:
        return np.bincount(self.ground_truth.label, minlength=len(self.classes))

    def _counts(self) -> dict[str, int]:
        return {
            "gt_videos": int(self.known.sum()),
            "gt_instances": len(self.ground_truth),
            "gt_ambiguous": len(self.ambiguous),
            "classes": len(self.classes),
            "det_videos": len(np.unique(self.detections.video)),
            "detections": len(self.detections),
        }

    def _averages(self, mean: np.ndarray) -> dict[str, float]:
        at = dict(zip(self._names(), mean, strict=True))
        wanted = {name: [_name(t / 10) for t in tenths] for name, tenths in AVERAGES.items()}
        return {name: float(np.mean([at[t] for t in of])) for name, of in wanted.items() if set(of) <= set(at)}

    def _names(self) -> list[str]:
        return [_name(t) for t in self.tiou]

    def _by_threshold(self, values: np.ndarray) -> dict[str, float | None]:
        return {name: _or_none(value) for name, value in zip(self._names(), values, strict=True)}


def match(
    detections: AnyDetections,
    ground_truth: AnyGroundTruth,
    protocol: str = "activitynet",
    tiou: Sequence[float] | np.ndarray | None = None,
    *,
    subset: str | None = None,
    classes: Sequence[str] | None = None,
    class_agnostic: bool = False,
    ignore_unknown: bool = False,
) -> Matches:
    """Match detections to ground truth; see :func:`mean_average_precision` for the arguments and errors."""
    thresholds = _check_request(protocol, tiou)
    truth = ground_truth if isinstance(ground_truth, Annotations) else parse_annotations(ground_truth)
    found = detections if isinstance(detections, Segments) else parse_detections(detections)
    names = same_videos(found.videos, truth.videos, found.source or "detections")
    found = replace(found, videos=tuple(names[name] for name in found.videos))
    truth = truth.select_for_evaluation(subset)
    rows = truth.segments()
    videos = tuple(dict.fromkeys([*rows.videos, *found.videos]))
    known = np.arange(len(videos)) < len(rows.videos)
    scored = _group_labels(_choose_classes(found, truth, protocol, classes, class_agnostic), class_agnostic)
    found = _arrange(found, videos, scored)
    if ignore_unknown:
        found = _take(found, known[found.video])
    else:
        _report_unknown(found, known, truth)
    found = _take(found, _falling(found, protocol))
    ambiguous = _arrange(rows, videos, {AMBIGUOUS: AMBIGUOUS})
    rows = _arrange(rows, videos, scored)
    found_by = _found_by(found, rows, thresholds, protocol)
    dropped = np.zeros((len(thresholds), len(found)), dtype=bool)
    if protocol == "thumos14":
        dropped = _touches(found, ambiguous) & ~_finders(found_by, len(found))
    return Matches(protocol, truth.subsets[0], thresholds, found, rows, ambiguous, known, found_by, dropped)


def overlap_ratio(
    start: np.ndarray, end: np.ndarray, gt_start: np.ndarray, gt_end: np.ndarray, protocol: str
) -> np.ndarray:
    """Compute the temporal intersection over union, 0..1, of pairs of intervals, elementwise with broadcasting.

    ``activitynet`` divides by the sum of the lengths less the intersection, ``thumos14`` by the hull. For intervals
    that intersect the two are equal but for the rounding, which decides ties.

    Args:
        start: of the detections, seconds.
        end: of the detections, seconds.
        gt_start: of the ground truths, seconds.
        gt_end: of the ground truths, seconds.
        protocol: ``activitynet`` or ``thumos14``.
    """
    inter = np.maximum(np.minimum(end, gt_end) - np.maximum(start, gt_start), 0.0)
    if protocol == "thumos14":
        return inter / (np.maximum(end, gt_end) - np.minimum(start, gt_start))
    return inter / ((gt_end - gt_start) + (end - start) - inter)


def average_precision(
    true: np.ndarray, counted: np.ndarray, positives: int | np.ndarray, interpolate: bool
) -> np.ndarray:
    """Compute the area under the precision-recall curve of one class.

    Args:
        true: how many times each detection is right (0 and 1, or more where a bootstrap repeats its video), by falling
            score, ``(..., D)``.
        counted: how many times each detection counts at all, ``(..., D)``; at least as many.
        positives: number of ground truths, at least 1; or several that broadcast against ``(...)``.
        interpolate: take as precision at a recall the best at this or a higher recall (``activitynet``), else the
            precision as it is (``thumos14``).

    Returns:
        AP, 0..1, float64 ``(...)``.
    """
    # Recall moves only at a true positive, and by 1/positives, so the area is a sum over the true positives.
    precision = np.cumsum(true, axis=-1) / np.maximum(np.cumsum(counted, axis=-1), 1)
    if interpolate:
        precision = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    return np.sum(precision * true, axis=-1) / positives


def choose_in_turn(
    chooser: np.ndarray, choice: np.ndarray, allowed: np.ndarray, choosers: int, choices: int
) -> np.ndarray:
    """Let choosers pick one after the other, each its favourite among what is still free.

    Going through the choosers one by one would be a Python loop. Instead all ask for their favourite at once, the
    earliest asker keeps it, and the refused ask for their next one, until nobody is refused any more (deferred
    acceptance, Gale & Shapley 1962). Since all choices rank the choosers alike, by turn, the outcome is the same.

    Args:
        chooser: who may choose what, one row a pair, ascending; a lower number has its turn earlier. Int ``(P,)``.
        choice: the other half of the pair, each chooser's favourites first. Int ``(P,)``.
        allowed: number of leading favourites that each chooser accepts, int ``(T, choosers)``: T independent games.
        choosers: number of choosers.
        choices: number of things to choose from.

    Returns:
        Who got each thing, or -1, int ``(T, choices)``.
    """
    first = np.searchsorted(chooser, np.arange(choosers))
    cursor = np.tile(first, (len(allowed), 1)).ravel()
    stop = (first + allowed).ravel()
    owner = np.full(len(allowed) * choices, choosers)
    asking = np.flatnonzero(cursor < stop)
    while asking.size:
        game, who = np.divmod(asking, choosers)
        seat = game * choices + choice[cursor[asking]]
        before = owner[seat]
        np.minimum.at(owner, seat, who)
        won = owner[seat] == who
        ousted = (game * choosers + before)[won & (before < choosers)]
        refused = np.concatenate([asking[~won], ousted])
        cursor[refused] += 1
        asking = refused[cursor[refused] < stop[refused]]
    return np.where(owner < choosers, owner, -1).reshape(len(allowed), choices)


def _found_by(found: Segments, truth: Segments, tiou: np.ndarray, protocol: str) -> np.ndarray:
    chunks = list(_overlaps(found, truth, protocol, by_class=True, at_least=float(tiou.min())))
    d, g, overlap = (np.concatenate(column) for column in zip(*chunks, strict=True))
    if protocol == "activitynet":
        # Detections choose: the largest overlap, on a tie the later ground truth.
        order = np.lexsort((-g, -overlap, d))
        allowed = _allowed(d, overlap, tiou, protocol, len(found))
        return choose_in_turn(d[order], g[order], allowed, len(found), len(truth))
    # Ground truths choose: the largest overlap, on a tie the higher score, then the earlier detection.
    order = np.lexsort((d, -overlap, g))
    allowed = _allowed(g, overlap, tiou, protocol, len(truth))
    owner = choose_in_turn(g[order], d[order], allowed, len(truth), len(found))
    found_by = np.full((len(tiou), len(truth)), -1)
    t, detection = np.nonzero(owner >= 0)
    found_by[t, owner[t, detection]] = detection
    return found_by


def _finders(found_by: np.ndarray, detections: int) -> np.ndarray:
    """Mark the detections that found a ground truth, bool ``(T, D)``."""
    finders = np.zeros((len(found_by), detections), dtype=bool)
    t, truth = np.nonzero(found_by >= 0)
    finders[t, found_by[t, truth]] = True
    return finders


def _allowed(chooser: np.ndarray, overlap: np.ndarray, tiou: np.ndarray, protocol: str, choosers: int) -> np.ndarray:
    rows = [np.bincount(chooser[_reaches(overlap, threshold, protocol)], minlength=choosers) for threshold in tiou]
    return np.stack(rows)


def _reaches(overlap: np.ndarray, threshold: float, protocol: str) -> np.ndarray:
    return overlap > threshold if protocol == "thumos14" else overlap >= threshold


def _overlaps(
    found: Segments, truth: Segments, protocol: str, by_class: bool, at_least: float = 0.0
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield pairs (detection, ground truth, overlap) of one video, and one class if asked, in bounded chunks."""
    classes = len(truth.labels) if by_class else 0
    key, gt_key = _cell(found, classes), _cell(truth, classes)
    gt_order = np.argsort(gt_key, kind="stable")
    low, high = (np.searchsorted(gt_key[gt_order], key, side) for side in ("left", "right"))
    done = np.concatenate([[0], np.cumsum(high - low)])
    borders = np.append(np.searchsorted(done, np.arange(0, max(done[-1], 1), _CHUNK)), len(key))
    for begin, end in pairwise(borders):
        d = np.repeat(np.arange(begin, end), (high - low)[begin:end])
        g = gt_order[np.arange(len(d)) + done[begin] - done[d] + low[d]]
        overlap = overlap_ratio(found.start[d], found.end[d], truth.start[g], truth.end[g], protocol)
        keep = overlap >= at_least
        yield d[keep], g[keep], overlap[keep]


def _touches(found: Segments, ambiguous: Segments) -> np.ndarray:
    """Mark the detections that overlap an ambiguous interval of their video at all, bool ``(D,)``."""
    touched = np.zeros(len(found), dtype=bool)
    for d, _, overlap in _overlaps(found, ambiguous, "thumos14", by_class=False):
        touched[d[overlap > 0]] = True
    return touched


def _cell(segments: Segments, classes: int) -> np.ndarray:
    """Give each row a number for its pair of video and class, or for its video if ``classes`` is 0."""
    return segments.video * classes + segments.label if classes else segments.video


def _arrange(segments: Segments, videos: tuple[str, ...], group: Mapping[str, str]) -> Segments:
    """Keep the rows whose label has a group, with ``video`` indexing the given names and ``label`` the groups."""
    classes = tuple(dict.fromkeys(group.values()))
    video_of = {name: i for i, name in enumerate(videos)}
    label_of = {name: classes.index(group[name]) for name in segments.labels if name in group}
    arranged = Segments(
        videos,
        classes,
        np.array([video_of[name] for name in segments.videos], dtype=np.int64)[segments.video],
        np.array([label_of.get(name, -1) for name in segments.labels], dtype=np.int64)[segments.label],
        segments.start,
        segments.end,
        segments.score,
        segments.source,
    )
    return _take(arranged, arranged.label >= 0)


def _take(segments: Segments, rows: np.ndarray) -> Segments:
    columns = ("video", "label", "start", "end", "score")
    return replace(segments, **{name: getattr(segments, name)[rows] for name in columns})


def _falling(found: Segments, protocol: str) -> np.ndarray:
    """Order the rows by falling score, ties as the protocol has them."""
    if protocol == "activitynet":
        return np.argsort(found.score, kind="stable")[::-1]
    by_name = sorted(range(len(found.videos)), key=found.videos.__getitem__)
    return np.lexsort((np.argsort(by_name)[found.video], -found.score))


def _check_request(protocol: str, tiou: Sequence[float] | np.ndarray | None) -> np.ndarray:
    if protocol not in PROTOCOLS:
        raise UsageError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}")
    thresholds = np.linspace(0.1, 0.9, 9) if tiou is None else np.atleast_1d(np.asarray(tiou, dtype=np.float64))
    if not thresholds.size or not np.all((thresholds > 0) & (thresholds <= 1)):
        raise UsageError(f"tIoU thresholds must be above 0 and at most 1, got {thresholds.tolist()}")
    if len({_name(t) for t in thresholds}) < len(thresholds):
        raise UsageError(f"a tIoU threshold is given twice: {thresholds.tolist()}")
    return thresholds


def _choose_classes(
    found: Segments, truth: Annotations, protocol: str, classes: Sequence[str] | None, agnostic: bool
) -> list[str]:
    if classes is None and agnostic:
        return sorted({*truth.labels, *found.labels} - {AMBIGUOUS})
    official = classes is None and protocol == "thumos14"
    chosen = list(THUMOS14_CLASSES if official else truth.labels if classes is None else dict.fromkeys(classes))
    if AMBIGUOUS in chosen:
        raise UsageError(f"{AMBIGUOUS} marks intervals that do not count; it is no class to score")
    absent = sorted(set(chosen) - set(truth.labels))
    if len(absent) == len(chosen):
        which = "the 20 classes of THUMOS14 (--classes names others)" if official else "the classes to score"
        raise UsageError(f"{truth.source} has none of {which}; it has: {', '.join(truth.labels)}")
    if absent:
        _warn(f"{truth.source} has no instance of {_some(absent)}: no AP, left out of the mean")
    for source, labels in ((found.source, found.labels), (truth.source, truth.labels)):
        strange = sorted(set(labels) - set(chosen))
        if strange:
            _warn(f"{source} has classes that are not scored: {_some(strange)}")
    if official and AMBIGUOUS not in truth.segments().labels:
        _warn(f"{truth.source} has no {AMBIGUOUS} intervals, which the official evaluation passes over")
    return chosen


def _group_labels(classes: Sequence[str], agnostic: bool) -> dict[str, str]:
    return {name: ANY_CLASS if agnostic else name for name in classes}


def _report_unknown(found: Segments, known: np.ndarray, truth: Annotations) -> None:
    unknown = ~known[found.video]
    if unknown.any():
        names = [found.videos[v] for v in np.unique(found.video[unknown])]
        _warn(
            f"{int(unknown.sum())} detections are in videos that subset {truth.subsets[0]!r} of {truth.source} lacks "
            f"({_some(names)}): counted as false positives (--ignore-unknown drops them)"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)


def _share(count: int, total: int) -> dict[str, float | int | None]:
    return {"count": count, "share": count / total if total else None}


def _name(threshold: float) -> str:
    return f"{threshold:.10g}"


def _mean(values: np.ndarray) -> float:
    """Average what is not NaN; NaN if nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
