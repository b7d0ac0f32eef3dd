"""Thresholding, on activations whose answer can be seen."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hasvideo.errors import UsageError
from hasvideo.extents import apply_rule, check_rule, components, cut_value, find_intervals
from hasvideo.types import Activation, Detections, Interval, IntervalRule, VideoInfo


def activation(*cam: float, score: float = 1.0) -> Activation:
    return Activation("jump", score, np.array(cam, dtype=np.float32))


def spans(found: list[Interval]) -> list[tuple[float, float]]:
    return [(i.start, i.end) for i in found]


def seconds(cam: Activation) -> np.ndarray:
    return np.arange(len(cam.cam) + 1, dtype=float)


def test_every_run_above_the_fraction_is_an_interval():
    cam = activation(0, 4, 8, 1, 0, 5, 3)
    found = find_intervals(cam, seconds(cam), IntervalRule(threshold=0.5))
    assert spans(found) == [(1, 3), (5, 6)]


def test_score_is_relative_mean_times_probability():
    cam = activation(0, 4, 8, 0, score=0.5)
    (found,) = find_intervals(cam, seconds(cam), IntervalRule(threshold=0.5))
    assert found.score == pytest.approx((4 + 8) / 2 / 8 * 0.5)
    assert found.label == "jump"


def test_cells_at_the_threshold_belong():
    cam = activation(2, 1, 0.99)
    assert spans(find_intervals(cam, seconds(cam), IntervalRule(threshold=0.5))) == [(0, 2)]


def test_minmax_counts_from_the_lowest_activation():
    cam = activation(-4, 0, 4, -4)
    by_max = find_intervals(cam, seconds(cam), IntervalRule(threshold=0.5, mode="max"))
    by_range = find_intervals(cam, seconds(cam), IntervalRule(threshold=0.5, mode="minmax"))
    assert spans(by_max) == [(2, 3)]
    assert spans(by_range) == [(1, 3)]


def test_nothing_is_found_where_nothing_is_positive():
    cam = activation(-3, -1, -2)
    assert find_intervals(cam, seconds(cam), IntervalRule()) == []
    assert cut_value(cam.cam, 0.5) == float("inf")


def test_scores_stay_between_0_and_1_when_the_range_rule_takes_negative_cells():
    cam = activation(-9, -1, 1, -9)
    (found,) = find_intervals(cam, seconds(cam), IntervalRule(threshold=0.5, mode="minmax"))
    assert found.score == 0.0


def test_gaps_merge_before_short_ones_are_dropped():
    cam = activation(1, 0, 1, 0, 0, 0, 1)
    rule = IntervalRule(threshold=0.5, merge_gap=1.0, min_duration=2.0)
    assert spans(find_intervals(cam, seconds(cam), rule)) == [(0, 3)]


def test_a_cell_cut_to_nothing_by_the_end_of_the_video_makes_no_interval():
    cam = activation(0, 0, 1)
    assert find_intervals(cam, np.array([0.0, 1.0, 2.0, 2.0]), IntervalRule()) == []


def test_components_in_two_dimensions_touch_by_faces_only():
    mask = np.array([[1, 0, 0], [0, 1, 1]], dtype=bool)
    assert components(mask) == [(slice(0, 1), slice(0, 1)), (slice(1, 2), slice(1, 3))]


@given(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=40), st.floats(0.01, 1))
def test_intervals_lie_inside_the_video_in_order_and_apart(values, threshold):
    cam = activation(*values)
    edges = np.linspace(0, 7, len(values) + 1)
    found = find_intervals(cam, edges, IntervalRule(threshold=threshold, mode="minmax"))
    assert found
    bounds = [t for i in found for t in (i.start, i.end)]
    assert bounds == sorted(bounds)
    assert bounds[0] >= 0
    assert bounds[-1] <= 7
    assert all(0 <= i.score <= 1 + 1e-9 for i in found)


@given(
    st.lists(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]), min_size=6, max_size=6), min_size=1, max_size=3),
    st.floats(0, 1),
    st.sampled_from([0.0, 1.0, 2.5]),
)
def test_intervals_of_a_class_never_overlap_and_come_by_falling_score(cams, threshold, gap):
    activations = tuple(Activation(f"class {n}", 0.5, np.array(cam, np.float32)) for n, cam in enumerate(cams))
    rule = IntervalRule(threshold, "minmax", merge_gap=gap)
    edges = np.array([0, 1, 2, 2, 3, 4, 5.5])  # with a cell of no length
    video = Detections("v", VideoInfo(Path("v.mp4"), 5.5, 25, 320, 240), (), activations, edges, rule)
    found = apply_rule(video).intervals
    assert [(-i.score, i.start) for i in found] == sorted((-i.score, i.start) for i in found)
    for label in {i.label for i in found}:
        ordered = sorted((i.start, i.end) for i in found if i.label == label)
        assert all(end <= start for (_, end), (start, _) in pairwise(ordered))


@pytest.mark.parametrize(
    "rule",
    [IntervalRule(threshold=1.5), IntervalRule(threshold=-0.1), IntervalRule(mode="mean"), IntervalRule(merge_gap=-1)],
)
def test_rules_out_of_range_are_refused(rule):
    with pytest.raises(UsageError):
        check_rule(rule)
