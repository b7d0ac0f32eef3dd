"""The time grid: where features lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hasvideo.types import Detections, Interval, TimeGrid, VideoInfo

I3D = TimeGrid(fps=25.0, window=99, stride=8, offset=-44)


def test_centers_are_the_middle_of_the_window():
    grid = TimeGrid(fps=10.0, window=16, stride=4)
    assert grid.centers(3) == pytest.approx([0.8, 1.2, 1.6])
    assert grid.step == 0.4


def test_a_feature_that_looks_back_has_a_negative_offset():
    assert I3D.centers(2) == pytest.approx([5.5 / 25, 13.5 / 25])


def test_edges_are_half_way_between_centers_and_clipped_to_the_video():
    grid = TimeGrid(fps=1.0, window=2, stride=2)
    assert grid.edges(3, 6.5) == pytest.approx([0, 2, 4, 6.5])
    assert grid.edges(3, 3.0) == pytest.approx([0, 2, 3, 3])


@given(st.integers(1, 2000))
def test_every_counted_feature_is_centred_inside_the_video(frames):
    count = I3D.count(frames)
    centers = I3D.centers(count + 1) * I3D.fps
    assert count == 1 or centers[count - 1] < frames
    assert centers[count] >= frames


@given(st.integers(1, 300), st.floats(0.1, 100))
def test_edges_never_run_back(length, duration):
    assert (np.diff(I3D.edges(length, duration)) >= 0).all()


def test_a_grid_without_a_stride_is_refused():
    with pytest.raises(ValueError, match="positive"):
        TimeGrid(fps=25.0, window=16, stride=0)


def test_detections_become_activitynet_results_and_a_table():
    info = VideoInfo(Path("a.mp4"), 10.0, 25.0, 64, 48)
    found = Detections("a", info, (Interval(1.0, 2.5, "hug", 0.75),))
    assert found.to_results() == [{"label": "hug", "score": 0.75, "segment": [1.0, 2.5]}]
    frame = found.to_dataframe()
    assert list(frame.columns) == ["video", "start", "end", "label", "score"]
    assert frame.iloc[0].tolist() == ["a", 1.0, 2.5, "hug", 0.75]
