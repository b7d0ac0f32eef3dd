"""The evaluator against hand-computed values, a plain-loop reference, and the published STPN detections."""

from __future__ import annotations

import json
import math
import time
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hasvideo.datasets.annotations import AMBIGUOUS, THUMOS14_CLASSES, load_annotations, load_detections
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.metrics.detection import average_precision, choose_in_turn, match, mean_average_precision
from hasvideo.types import Detections, Interval, VideoInfo

Gt = dict[str, list[tuple[str, float, float]]]
Found = dict[str, list[tuple[str, float, float, float]]]


def truth(videos: Gt, subset: str = "test") -> dict[str, Any]:
    return {
        "database": {
            name: {"subset": subset, "annotations": [{"label": c, "segment": [s, e]} for c, s, e in items]}
            for name, items in videos.items()
        }
    }


def found(videos: Found) -> dict[str, Any]:
    return {
        "results": {
            name: [{"label": c, "segment": [s, e], "score": score} for c, s, e, score in items]
            for name, items in videos.items()
        }
    }


def score(detections: Found, ground_truth: Gt, tiou: float, **options: Any) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mean_average_precision(found(detections), truth(ground_truth), tiou=[tiou], **options)


def ap_of(detections: Found, ground_truth: Gt, tiou: float, **options: Any) -> float:
    return score(detections, ground_truth, tiou, **options)["mAP"][f"{tiou:g}"]


# --- the reference: plain loops, written from the definition of each protocol ------------------------------------


def reference(detections: Found, ground_truth: Gt, protocol: str, tiou: float, classes: list[str]) -> dict[str, float]:
    one_class = reference_activitynet if protocol == "activitynet" else reference_thumos14
    return {label: one_class(detections, ground_truth, tiou, label) for label in classes}


def reference_activitynet(detections: Found, ground_truth: Gt, tiou: float, label: str) -> float:
    rows = [(video, s, e, sc) for video, items in detections.items() for c, s, e, sc in items if c == label]
    rows = [rows[i] for i in sorted(range(len(rows)), key=lambda i: (rows[i][3], i), reverse=True)]
    gts = {video: [(s, e) for c, s, e in items if c == label] for video, items in ground_truth.items()}
    positives = sum(map(len, gts.values()))
    taken: set[tuple[str, int]] = set()
    precision, recall, right = [0.0], [0.0], 0
    for rank, (video, start, end, _) in enumerate(rows, 1):
        overlaps = []
        for g, (gt_start, gt_end) in enumerate(gts.get(video, [])):
            inter = max(0.0, min(end, gt_end) - max(start, gt_start))
            overlaps.append((inter / ((gt_end - gt_start) + (end - start) - inter), g))
        for overlap, g in sorted(overlaps, reverse=True):
            if overlap >= tiou and (video, g) not in taken:
                taken.add((video, g))
                right += 1
                break
        precision.append(right / rank)
        recall.append(right / positives)
    precision, recall = [*precision, 0.0], [*recall, 1.0]
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))


def reference_thumos14(detections: Found, ground_truth: Gt, tiou: float, label: str) -> float:
    def overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
        inter = min(a[1], b[1]) - max(a[0], b[0])
        return inter / (max(a[1], b[1]) - min(a[0], b[0])) if inter > 0 else 0.0

    judged: list[tuple[float, bool]] = []
    for video in sorted({*detections, *ground_truth}):
        rows = [(s, e, sc) for c, s, e, sc in detections.get(video, []) if c == label]
        rows.sort(key=lambda row: -row[2])
        right = [False] * len(rows)
        for c, s, e in ground_truth.get(video, []):
            if c != label:
                continue
            best, at = -1.0, -1
            for d, row in enumerate(rows):
                if not right[d] and overlap((s, e), row[:2]) > best:
                    best, at = overlap((s, e), row[:2]), d
            if best > tiou:
                right[at] = True
        unclear = [(s, e) for c, s, e in ground_truth.get(video, []) if c == AMBIGUOUS]
        for row, is_right in zip(rows, right, strict=True):
            if is_right or not any(overlap(row[:2], interval) > 0 for interval in unclear):
                judged.append((row[2], is_right))
    judged.sort(key=lambda item: -item[0])
    positives = sum(c == label for items in ground_truth.values() for c, _, _ in items)
    hits = [is_right for _, is_right in judged]
    return sum(sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit) / positives


# A coarse grid of times and few scores, so that ties in overlap and in score are the rule.
times = st.integers(0, 8)
intervals = st.tuples(times, times).filter(lambda t: t[0] != t[1]).map(lambda t: (min(t) / 2, max(t) / 2))
names = ["Diving", "CliffDiving", "Shotput"]
truth_row = st.tuples(st.sampled_from([*names, AMBIGUOUS]), intervals).map(lambda r: (r[0], *r[1]))
found_row = st.tuples(st.sampled_from([*names, "strange"]), intervals, st.integers(0, 4)).map(
    lambda r: (r[0], *r[1], r[2] / 4)
)
truths = st.dictionaries(st.sampled_from(["v1", "v2", "v10"]), st.lists(truth_row, max_size=6), min_size=1).filter(
    lambda videos: any(c != AMBIGUOUS for items in videos.values() for c, _, _ in items)
)
founds = st.dictionaries(st.sampled_from(["v10", "v2", "v1", "v0"]), st.lists(found_row, max_size=12))
tious = st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 0.75, 1.0])


@pytest.mark.parametrize("protocol", ["activitynet", "thumos14"])
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(detections=founds, ground_truth=truths, tiou=tious)
def test_agrees_with_plain_loops(protocol, detections, ground_truth, tiou):
    classes = sorted({c for items in ground_truth.values() for c, _, _ in items} - {AMBIGUOUS})
    expected = reference(detections, ground_truth, protocol, tiou, classes)
    result = score(detections, ground_truth, tiou, protocol=protocol, classes=classes)
    key = f"{tiou:.10g}"
    assert {label: ap[key] for label, ap in result["AP"].items()} == pytest.approx(expected, abs=1e-12)
    assert result["mAP"][key] == pytest.approx(np.mean(list(expected.values())), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(detections=founds, ground_truth=truths, tiou=tious, protocol=st.sampled_from(["activitynet", "thumos14"]))
def test_breakdowns_add_up(detections, ground_truth, tiou, protocol):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        matches = match(found(detections), truth(ground_truth), protocol, [tiou])
    (errors,) = matches.errors().values()
    kinds = ["true_positive", "double_detection", "wrong_class", "localization", "background"]
    judged = len(matches.detections) - matches.dropped.sum()
    assert sum(errors[kind]["count"] for kind in kinds) == judged
    if judged:
        assert sum(errors[kind]["share"] for kind in kinds) == pytest.approx(1)
    assert errors["true_positive"]["count"] + errors["missed"]["count"] == len(matches.ground_truth)
    videos = matches.by_video()
    assert sum(v["instances"] for v in videos.values()) == len(matches.ground_truth)
    assert sum(v["detections"] for v in videos.values()) == len(matches.detections)
    hits = sum(next(iter(v["true_positives"].values())) for v in videos.values())
    assert hits == errors["true_positive"]["count"]


# --- known answers ---------------------------------------------------------------------------------------------


def test_published_stpn_detections_to_1e_9(shared_data):
    folder = shared_data / "thumos14"
    expected = json.loads((folder / "detections/stpn_expected.json").read_text())
    result = mean_average_precision(
        load_detections(folder / "detections/stpn.json"), load_annotations(folder / "gt_basnet.json")
    )
    assert {k: result[k] for k in ("protocol", "subset", "thresholds")} == {
        k: expected[k] for k in ("protocol", "subset", "thresholds")
    }
    assert result["mAP"] == pytest.approx(expected["mAP"], abs=1e-9)
    assert result["average_mAP"] == pytest.approx(expected["average_mAP"], abs=1e-9)
    assert list(result["AP"]) == list(expected["AP"])
    for label, ap in expected["AP"].items():
        assert result["AP"][label] == pytest.approx(ap, abs=1e-9)
    assert {k: result["counts"][k] for k in expected["counts"]} == expected["counts"]


def test_stpn_without_interpolation_is_the_stated_variant(shared_data):
    """The README's figures for "not interpolated" differ from ours by that alone."""
    folder = shared_data / "thumos14"
    other = json.loads((folder / "detections/stpn_expected.json").read_text())["other_settings"]
    matches = match(load_detections(folder / "detections/stpn.json"), load_annotations(folder / "gt_basnet.json"))
    true, label = matches.true_positives, matches.detections.label
    ap = [
        average_precision(true[:, label == c], np.ones_like(true[:, label == c]), int(n), interpolate=False)
        for c, n in enumerate(np.bincount(matches.ground_truth.label))
    ]
    assert np.mean(ap, axis=0) == pytest.approx(list(other["non_interpolated_ap"]["mAP"].values()), abs=1e-9)


def test_interpolated_ap_by_hand():
    gt = {"v": [("a", 0, 1), ("a", 2, 3), ("a", 4, 5), ("a", 6, 7)]}
    # Right, wrong, wrong, right: precision 1, 1/2, 1/3, 2/4 at recall 1/4, 1/4, 1/4, 1/2.
    dets = {"v": [("a", 0, 1, 0.9), ("a", 8, 9, 0.8), ("a", 8, 9, 0.7), ("a", 2, 3, 0.6)]}
    assert ap_of(dets, gt, 0.5) == pytest.approx(1 / 4 * 1 + 1 / 4 * 2 / 4)
    # A later right one lifts the precision before it: right, wrong, right, right gives 1, then 3/4 twice.
    dets = {"v": [("a", 0, 1, 0.9), ("a", 8, 9, 0.8), ("a", 2, 3, 0.7), ("a", 4, 5, 0.6)]}
    assert ap_of(dets, gt, 0.5) == pytest.approx(1 / 4 * (1 + 3 / 4 + 3 / 4))


def test_plain_ap_by_hand():
    gt = {"v": [("Diving", 0, 1), ("Diving", 2, 3), ("Diving", 4, 5), ("Diving", 6, 7)]}
    dets = {"v": [("Diving", 0, 1, 0.9), ("Diving", 8, 9, 0.8), ("Diving", 2, 3, 0.7), ("Diving", 4, 5, 0.6)]}
    assert ap_of(dets, gt, 0.5, protocol="thumos14") == pytest.approx((1 + 2 / 3 + 3 / 4) / 4)


def test_threshold_is_inclusive_for_activitynet_and_exclusive_for_thumos14():
    gt, dets = {"v": [("Diving", 0, 2)]}, {"v": [("Diving", 0, 1, 1.0)]}
    assert ap_of(dets, gt, 0.5) == 1
    assert ap_of(dets, gt, 0.5, protocol="thumos14") == 0


def test_who_chooses_differs_between_the_protocols():
    # The sure detection overlaps both instances, the other one only the first. In activitynet the sure one takes what
    # it overlaps most, the second instance, and both are right; in thumos14 the first instance chooses first, and
    # takes the sure detection, since that covers more of it than the other.
    gt = {"v": [("Diving", 0, 10), ("Diving", 1, 11)]}
    dets = {"v": [("Diving", 0.6, 10.7, 0.9), ("Diving", 0, 8, 0.5)]}
    assert ap_of(dets, gt, 0.7) == 1
    assert ap_of(dets, gt, 0.7, protocol="thumos14") == pytest.approx(1 / 2)


def test_next_best_ground_truth_is_tried():
    gt = {"v": [("a", 0, 10), ("a", 1, 11)]}
    dets = {"v": [("a", 0, 10, 0.9), ("a", 0, 10, 0.8)]}
    assert ap_of(dets, gt, 0.8) == 1
    assert ap_of(dets, gt, 0.9) == 1 / 2


def test_duplicate_detections_are_false_positives():
    gt = {"v": [("Diving", 0, 1), ("Diving", 5, 6)]}
    dets = {"v": [("Diving", 0, 1, 0.9), ("Diving", 0, 1, 0.9), ("Diving", 5, 6, 0.1)]}
    for protocol in ("activitynet", "thumos14"):
        assert ap_of(dets, gt, 0.5, protocol=protocol) == pytest.approx((1 + 2 / 3) / 2)


def test_equal_scores_take_the_later_entry_first_in_activitynet_and_the_first_video_in_thumos14():
    gt = {"b": [("Diving", 0, 1)], "a": []}
    dets = {"b": [("Diving", 0, 1, 0.5)], "a": [("Diving", 0, 1, 0.5)]}
    assert ap_of(dets, gt, 0.5) == 1 / 2
    assert ap_of(dict(reversed(dets.items())), gt, 0.5) == 1
    for order in (dets, dict(reversed(dets.items()))):
        assert ap_of(order, gt, 0.5, protocol="thumos14") == 1 / 2


def test_equal_overlaps_take_the_later_ground_truth_in_activitynet():
    # One long detection over two instances of equal length; the second detection fits only the later instance.
    gt = {"v": [("a", 0, 4), ("a", 6, 10)]}
    dets = {"v": [("a", 0, 10, 0.9), ("a", 6, 10, 0.8)]}
    assert ap_of(dets, gt, 0.4) == 1 / 2
    dets["v"][1] = ("a", 0, 4, 0.8)
    assert ap_of(dets, gt, 0.4) == 1


def test_ambiguous_intervals_excuse_detections_in_thumos14_only():
    gt = {"v": [("Diving", 0, 1), (AMBIGUOUS, 5, 6)], "w": [(AMBIGUOUS, 0, 1)]}
    dets = {"v": [("Diving", 5.9, 9, 0.9), ("Diving", 0, 1, 0.8)], "w": [("Diving", 0, 1, 0.7)]}
    assert ap_of(dets, gt, 0.5, protocol="thumos14") == 1
    result = score(dets, gt, 0.5)
    assert list(result["AP"]) == ["Diving"]
    assert result["mAP"]["0.5"] == 1 / 2
    # Touching is not overlapping.
    dets["v"][0] = ("Diving", 6, 9, 0.9)
    assert ap_of(dets, gt, 0.5, protocol="thumos14") == 1 / 2


def test_detection_in_a_video_without_that_class_is_a_false_positive():
    gt = {"v": [("a", 0, 1)], "w": [("b", 0, 1)], "empty": []}
    dets = {"w": [("a", 0, 1, 0.9)], "empty": [("a", 0, 1, 0.8)], "v": [("a", 0, 1, 0.7)]}
    result = score(dets, gt, 0.5)
    assert result["AP"]["a"]["0.5"] == pytest.approx(1 / 3)
    assert result["AP"]["b"]["0.5"] == 0
    assert result["mAP"]["0.5"] == pytest.approx(1 / 6)


def test_no_detections_at_all_scores_zero():
    result = score({}, {"v": [("a", 0, 1)]}, 0.5)
    assert result["mAP"] == {"0.5": 0}
    assert result["counts"]["detections"] == 0


def test_class_agnostic_mode_ignores_labels():
    gt, dets = {"v": [("a", 0, 1), ("b", 2, 3)]}, {"v": [("b", 0, 1, 0.9), ("c", 2, 3, 0.8)]}
    assert ap_of(dets, gt, 0.5) == 0
    result = score(dets, gt, 0.5, class_agnostic=True)
    assert list(result["AP"]) == ["any class"]
    assert result["mAP"]["0.5"] == 1


@pytest.mark.filterwarnings("ignore:.*Ambiguous")
def test_class_without_ground_truth_has_no_ap_and_is_left_out_of_the_mean():
    gt, dets = {"v": [("Diving", 0, 1)]}, {"v": [("Diving", 0, 1, 0.9), ("Shotput", 0, 1, 0.9)]}
    with pytest.warns(UserWarning, match="no instance of BaseballPitch.* and 16 more: no AP, left out of the mean"):
        result = mean_average_precision(found(dets), truth(gt), "thumos14", [0.5])
    assert list(result["AP"]) == list(THUMOS14_CLASSES)
    assert result["AP"]["Shotput"]["0.5"] is None
    assert result["mAP"]["0.5"] == 1


def test_detections_of_unknown_classes_are_reported_and_not_scored():
    with pytest.warns(UserWarning, match="detections has classes that are not scored: c$"):
        result = mean_average_precision(found({"v": [("a", 0, 1, 1), ("c", 0, 1, 1)]}), truth({"v": [("a", 0, 1)]}))
    assert result["average_mAP"] == 1


def test_missing_ambiguous_intervals_are_reported():
    gt = {"v": [(name, i, i + 0.5) for i, name in enumerate(THUMOS14_CLASSES)]}
    with pytest.warns(UserWarning, match="ground truth has no Ambiguous intervals"):
        mean_average_precision(found({}), truth(gt), "thumos14")


def test_unknown_videos_count_as_false_positives_unless_dropped():
    gt, dets = {"v": [("a", 0, 1)]}, {"x": [("a", 0, 1, 0.9), ("a", 2, 3, 0.8)], "v": [("a", 0, 1, 0.5)]}
    with pytest.warns(UserWarning, match=r"2 detections .* lacks \(x\): counted as false positives"):
        result = mean_average_precision(found(dets), truth(gt), tiou=[0.5])
    assert result["mAP"]["0.5"] == pytest.approx(1 / 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = mean_average_precision(found(dets), truth(gt), tiou=[0.5], ignore_unknown=True)
    assert result["mAP"]["0.5"] == 1
    assert result["counts"]["detections"] == 1


def test_errors_are_told_apart():
    gt = {"v": [("a", 0, 10), ("b", 20, 30), ("a", 40, 50)]}
    dets = {
        "v": [
            ("a", 0, 10, 0.9),  # right
            ("a", 0, 9, 0.8),  # the instance is taken
            ("a", 20, 30, 0.7),  # that is a b
            ("a", 44, 47, 0.6),  # tIoU 0.3
            ("b", 60, 70, 0.5),  # nothing there
            ("b", 49, 60, 0.4),  # tIoU 1/20 with an a
            ("b", 44, 47, 0.3),  # tIoU 0.3 with an a
        ]
    }
    errors = match(found(dets), truth(gt), tiou=[0.5]).errors()["0.5"]
    counts = {kind: value["count"] for kind, value in errors.items()}
    assert counts == {
        "true_positive": 1,
        "double_detection": 1,
        "wrong_class": 2,
        "localization": 1,
        "background": 2,
        "missed": 2,
    }
    assert errors["background"]["share"] == pytest.approx(2 / 7)
    assert errors["missed"]["share"] == pytest.approx(2 / 3)


def test_a_threshold_below_the_background_limit_moves_that_limit():
    gt, dets = {"v": [("a", 0, 100)]}, {"v": [("a", 0, 7, 0.9), ("a", 0, 7, 0.8)]}
    errors = match(found(dets), truth(gt), tiou=[0.05, 0.5]).errors()
    assert errors["0.05"]["double_detection"]["count"] == 1
    assert errors["0.5"]["background"]["count"] == 2


def test_ground_truth_of_classes_that_are_not_scored_is_reported():
    gt = {"v": [("Diving", 0, 1), ("Knitting", 0, 1), (AMBIGUOUS, 2, 3)]}
    with pytest.warns(UserWarning, match="ground truth has classes that are not scored: Knitting"):
        mean_average_precision(found({}), truth(gt), "thumos14", classes=["Diving"])


def test_own_class_decides_between_equal_overlaps():
    """Every CliffDiving instance of THUMOS14 is also a Diving instance: a doubled one is not of the wrong class."""
    gt = {"v": [("CliffDiving", 0, 10), ("Diving", 0, 10)]}
    dets = {"v": [("Diving", 0, 10, 0.9), ("Diving", 0, 10, 0.8), ("CliffDiving", 0, 10, 0.7), ("Diving", 0, 2, 0.6)]}
    errors = match(found(dets), truth(gt), tiou=[0.5]).errors()["0.5"]
    assert (errors["double_detection"]["count"], errors["localization"]["count"], errors["wrong_class"]["count"]) == (
        1,
        1,
        0,
    )


def test_video_breakdown():
    gt = {"v": [("a", 0, 1), ("b", 2, 3)], "w": [("a", 0, 1)], "empty": []}
    dets = {"v": [("a", 0, 1, 0.1)], "w": [("a", 5, 6, 0.9), ("a", 0, 1, 0.8)], "empty": [("a", 0, 1, 0.7)]}
    videos = match(found(dets), truth(gt), tiou=[0.5]).by_video()
    assert videos["v"] == {"instances": 2, "detections": 1, "true_positives": {"0.5": 1}, "mAP": {"0.5": 0.5}}
    assert videos["w"] == {"instances": 1, "detections": 2, "true_positives": {"0.5": 1}, "mAP": {"0.5": 0.5}}
    assert videos["empty"]["mAP"] == {"0.5": None}


def test_precision_recall_curve():
    gt = {"v": [("a", 0, 1), ("a", 2, 3)]}
    matches = match(found({"v": [("a", 0, 1, 0.9), ("a", 8, 9, 0.8), ("a", 2, 3, 0.7)]}), truth(gt), tiou=[0.3, 0.5])
    precision, recall = matches.precision_recall(0.5)["a"]
    assert precision == pytest.approx([1, 1 / 2, 2 / 3])
    assert recall == pytest.approx([1 / 2, 1 / 2, 1])
    with pytest.raises(UsageError, match=r"tIoU 0\.4 was not evaluated; thresholds: 0\.3, 0\.5"):
        matches.precision_recall(0.4)


def test_usual_averages_are_given_where_the_thresholds_allow():
    result = mean_average_precision(found({}), truth({"v": [("a", 0, 1)]}), tiou=[0.1, 0.2, 0.3, 0.4, 0.5, 0.95])
    assert list(result["averages"]) == ["0.1:0.5"]


def test_takes_what_localize_returns():
    info = VideoInfo(path="v.mp4", duration=10.0, fps=25.0, width=1, height=1)  # type: ignore[arg-type]
    result = [Detections("v", info, (Interval(0.0, 1.0, "a", 0.5),)), Detections("w", info, ())]
    gt = truth({"v": [("a", 0, 1)], "w": [("a", 0, 1)]})
    assert mean_average_precision(result, gt)["average_mAP"] == 1 / 2
    assert mean_average_precision(result[0], gt)["average_mAP"] == 1 / 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "voc"}, "unknown protocol 'voc'; known: activitynet, thumos14"),
        ({"tiou": [0.0]}, "above 0 and at most 1"),
        ({"tiou": [1.5]}, "above 0 and at most 1"),
        ({"tiou": [math.nan]}, "above 0 and at most 1"),
        ({"tiou": []}, "above 0 and at most 1"),
        ({"tiou": [0.5, 0.5]}, "given twice"),
        ({"subset": "nope"}, "no subset 'nope'"),
        ({"classes": []}, "has none of the classes to score; it has: a"),
        ({"classes": ["z"]}, "has none of the classes to score; it has: a"),
        ({"protocol": "thumos14"}, "none of the 20 classes of THUMOS14"),
    ],
)
def test_bad_requests_are_usage_errors(options, message):
    with pytest.raises(UsageError, match=message):
        mean_average_precision(found({}), truth({"v": [("a", 0, 1)]}), **options)


def test_wrong_entries_are_named():
    with pytest.raises(HasvideoError, match=r'detections: results\["v"\]\[1\]: score nan is not finite'):
        score({"v": [("a", 0, 1, 0.5), ("a", 0, 1, math.nan)]}, {"v": [("a", 0, 1)]}, 0.5)


# --- the engine ------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.lists(st.permutations(range(5)).flatmap(lambda p: st.integers(0, 5).map(lambda n: p[:n])), max_size=8))
def test_choosing_in_turn_equals_one_after_the_other(wishes):
    expected, free = [-1] * 5, set(range(5))
    for who, wanted in enumerate(wishes):
        for choice in wanted:
            if choice in free:
                free.remove(choice)
                expected[choice] = who
                break
    chooser = np.repeat(np.arange(len(wishes)), [len(w) for w in wishes]).astype(int)
    choice = np.array([c for w in wishes for c in w], dtype=int)
    allowed = np.array([[len(w) for w in wishes]], dtype=int).reshape(1, -1)
    assert choose_in_turn(chooser, choice, allowed, len(wishes), 5).tolist() == [expected]


def test_results_do_not_depend_on_the_chunk_size(monkeypatch):
    rng = np.random.default_rng(0)
    gt = {f"v{v}": [("a", s, s + 2.0) for s in rng.uniform(0, 20, 5)] for v in range(6)}
    dets = {v: [("a", s, s + 2.0, rng.random()) for s in rng.uniform(0, 20, 30)] for v in gt}
    whole = score(dets, gt, 0.3)
    monkeypatch.setattr("hasvideo.metrics.detection._CHUNK", 7)
    assert score(dets, gt, 0.3) == whole


def make_large(count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(count)
    gt: Gt = {f"v{v}": [] for v in range(212)}
    for v, start, length in zip(
        rng.integers(0, 212, 3358), rng.uniform(0, 200, 3358), rng.gamma(2, 2.5, 3358), strict=True
    ):
        gt[f"v{v}"].append((f"c{v % 20}", start, start + length + 0.1))
    dets: Found = {name: [] for name in gt}
    filled = [name for name in gt if gt[name]]
    for i, shift in enumerate(rng.normal(0, 1, count)):
        name = filled[i % len(filled)]
        label, start, end = gt[name][i % len(gt[name])]
        dets[name].append((label, start + shift, end + shift, float(rng.random())))
    return found(dets), truth(gt)


def test_thirty_thousand_detections_take_no_loop_over_them():
    data = make_large(30_000)
    begin = time.process_time()
    mean_average_precision(*data, tiou=np.linspace(0.05, 0.95, 10))
    assert time.process_time() - begin < 3  # a loop takes minutes; benchmarks/evaluate_speed.py measures


@pytest.mark.parametrize("protocol", ["activitynet", "thumos14"])
def test_intervals_without_length_match_nothing(protocol):
    """The true one does not count, the found one is a false positive: worth 1/2 at the one instance that is left."""
    truth = {"v": {"subset": "test", "annotations": [
        {"label": "Diving", "segment": [0, 0]}, {"label": "Diving", "segment": [2, 4]}]}}  # fmt: skip
    found = [{"label": "Diving", "score": 0.9, "segment": [0, 0]}, {"label": "Diving", "score": 0.8, "segment": [2, 4]}]
    with pytest.warns(UserWarning) as said:  # noqa: PT030 (the texts follow)
        result = mean_average_precision({"results": {"v": found}}, {"database": truth}, protocol, [0.5])
    assert result["AP"]["Diving"]["0.5"] == 0.5
    assert result["counts"]["gt_instances"] == 1
    texts = [str(w.message) for w in said]
    assert sum("left out 1 instances without length" in text for text in texts) == 1
    assert sum("detections: 1 detections have no length, and so match nothing" in text for text in texts) == 1


def test_videos_with_and_without_ending_are_one():
    def entry(start):
        return [{"label": "a", "score": 0.9, "segment": [start, start + 1]}]

    truth = {name: {"subset": "test", "annotations": entry(0)} for name in ("x.mp4", "y", "z.mp4", "z.avi")}
    found = {"x": entry(0), "y.mp4": entry(0), "z.mp4": entry(0), "z.avi": entry(5)}
    result = match({"results": found}, {"database": truth}, tiou=[0.5])
    assert {name: v["true_positives"]["0.5"] for name, v in result.by_video().items()} == {
        "x.mp4": 1, "y": 1, "z.mp4": 1, "z.avi": 0,
    }  # fmt: skip
    with pytest.raises(HasvideoError, match="video 'z' may be 'z.mp4' or 'z.avi'"):
        match({"results": {"z": entry(0)}}, {"database": truth})
