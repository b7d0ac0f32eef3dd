"""The pictures of an evaluation hold what was evaluated."""

from __future__ import annotations

import warnings

import pytest
from matplotlib.figure import Figure

from hasvideo.errors import UsageError
from hasvideo.metrics.detection import match, mean_average_precision
from hasvideo.output.evaluation_plots import (
    draw_curves,
    draw_errors,
    draw_map,
    draw_precision_recall,
    draw_video,
    plot_curves,
    plot_evaluation,
    reference_tiou,
    typical_videos,
)

GROUND_TRUTH = {
    "good": [("Diving", 0, 2), ("Diving", 5, 8)],
    "fair": [("Diving", 0, 1), ("Shotput", 3, 4), ("Ambiguous", 9, 10)],
    "bad": [("Shotput", 0, 1)],
}
DETECTIONS = {
    "good": [("Diving", 0, 2, 0.9), ("Diving", 5, 8, 0.8), ("Diving", 20, 21, 0.1)],
    "fair": [("Diving", 0, 1, 0.9), ("Diving", 9, 11, 0.8)],
    "bad": [("Diving", 0, 1, 0.5)],
}


@pytest.fixture
def axes():
    return Figure().subplots()


def evaluated(protocol="thumos14", tiou=(0.3, 0.5)):
    database = {
        name: {"subset": "test", "annotations": [{"label": c, "segment": [s, e]} for c, s, e in items]}
        for name, items in GROUND_TRUTH.items()
    }
    results = {
        name: [{"label": c, "segment": [s, e], "score": p} for c, s, e, p in items]
        for name, items in DETECTIONS.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return match({"results": results}, {"database": database}, protocol, tiou, classes=["Diving", "Shotput"])


def spans(axes, row):
    """(start, end) of the filled bars in a row of the picture."""
    return [
        (bar.get_x(), bar.get_x() + bar.get_width())
        for bar in axes.patches
        if bar.get_fill() and abs(bar.get_y() + bar.get_height() / 2 - row) < 0.01
    ]


def test_bars_are_the_intervals(axes):
    draw_video(axes, evaluated(), "good", 0.5)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Diving   truth", "right", "wrong"]
    assert spans(axes, 0) == [(0, 2), (5, 8)]
    assert sorted(spans(axes, 1)) == [(0, 2), (5, 8)]
    assert spans(axes, 2) == [(20, 21)]


def test_missed_instances_are_hatched_and_absent_classes_have_one_row(axes):
    draw_video(axes, evaluated(), "bad", 0.5)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["Shotput   truth", "right", "wrong", "Diving   wrong"]
    (missed,) = [bar for bar in axes.patches if bar.get_hatch()]
    assert (missed.get_x(), missed.get_width()) == (0, 1)
    assert spans(axes, 3) == [(0, 1)]


def test_ambiguous_intervals_are_shaded_and_explained(axes):
    draw_video(axes, evaluated(), "fair", 0.5)
    assert "grey: ambiguous" in axes.get_xlabel()
    spans = [bar.get_path().get_extents(bar.get_patch_transform()).intervalx for bar in axes.patches]
    assert any(tuple(span) == (9, 10) for span in spans)  # a Polygon in Matplotlib 3.8, a Rectangle since


def test_typical_videos_are_the_best_the_median_and_the_worst():
    assert typical_videos(evaluated()) == ["good", "fair", "bad"]


def test_reference_threshold_is_the_one_nearest_to_a_half():
    assert reference_tiou(evaluated(tiou=(0.1, 0.45, 0.75))) == 0.45


def test_map_of_several_methods(axes):
    summaries = {name: evaluated(name).summary() for name in ("activitynet", "thumos14")}
    draw_map(axes, summaries)
    assert [line.get_label() for line in axes.lines] == ["activitynet", "thumos14"]
    assert [line.get_xdata().tolist() for line in axes.lines] == [[0.3, 0.5]] * 2
    assert axes.lines[1].get_ydata()[1] == pytest.approx(100 * summaries["thumos14"]["mAP"]["0.5"])


def test_curves_and_errors(axes):
    draw_precision_recall(axes, evaluated(), 0.5)
    assert [t.get_text().split()[0] for t in axes.get_legend().get_texts()] == ["Diving", "Shotput"]
    other = Figure().subplots()
    draw_errors(other, evaluated())
    heights = [sum(container[t].get_height() for container in other.containers) for t in (0, 1)]
    assert heights == pytest.approx([100, 100])


def test_what_was_recorded_from_some_epoch_on_is_drawn_from_there():
    history = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0, "val_loss": 3.0}]
    (axes,) = draw_curves(history).axes
    assert [line.get_xdata().tolist() for line in axes.lines] == [[1, 2], [2]]


def test_curves_are_drawn_into_a_file_without_a_display(tmp_path):
    plot_curves([{"epoch": 1.0, "loss": 1.0, "val_loss": 2.0, "accuracy": 0.5, "seconds": 1.0}], tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_unknown_video_and_suffix_leave_nothing_behind(tmp_path):
    with pytest.raises(UsageError, match="no video 'x'"):
        plot_evaluation(evaluated(), tmp_path / "out.png", ["x"])
    with pytest.raises(UsageError, match=r"must end in .png, .svg or .pdf"):
        plot_evaluation(evaluated(), tmp_path / "out.bmp")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_without_any_detection(tmp_path):
    gt = {"database": {"v": {"subset": "test", "annotations": [{"label": "a", "segment": [0, 1]}]}}}
    plot_evaluation(match({"results": {}}, gt), tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 10_000
    assert mean_average_precision({"results": {}}, gt)["average_mAP"] == 0
