from __future__ import annotations

import csv
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hasvideo
from hasvideo.datasets.annotations import load_detections
from hasvideo.output.tables import clock, table, write_results_json
from hasvideo.output.writers import write
from hasvideo.types import Interval, IntervalRule

LABELS = st.text(min_size=1, max_size=12)
TIMES = st.tuples(st.floats(0, 1e5), st.floats(1e-3, 1e4), st.floats(0, 1))
ROWS = st.lists(st.builds(lambda label, t: Interval(t[0], t[0] + t[1], label, t[2]), LABELS, TIMES), max_size=8)
RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@RELAXED
@given(intervals=ROWS)
def test_json_reads_back_to_the_microsecond(make, tmp_path, intervals):
    (path,) = write(replace(make(), intervals=tuple(intervals)), tmp_path, ["json"])
    read = load_detections(path)
    assert read.videos == ("clip",)
    assert [read.labels[k] for k in read.label] == [i.label for i in intervals]
    assert read.start.tolist() == pytest.approx([i.start for i in intervals], abs=6e-7)
    assert read.end.tolist() == pytest.approx([i.end for i in intervals], abs=6e-7)
    assert read.score.tolist() == pytest.approx([i.score for i in intervals], rel=1e-8)
    assert (read.end > read.start).all()
    again = [Interval(*row) for row in zip(read.start, read.end, [i.label for i in intervals], read.score, strict=True)]
    assert (
        replace(make(), intervals=tuple(again)).to_results() == replace(make(), intervals=tuple(intervals)).to_results()
    )


@pytest.mark.parametrize("format_", ["json", "csv"])
def test_numbers_have_no_tail_of_arithmetic(make, tmp_path, format_):
    first = Interval(1.3399999999999999, 0.1 + 0.2 + 1.1, "hug", 0.7 * 1.1)
    second = Interval(3599 + 0.3, 3600 + 2 / 3, "hug", 1e-7 / 3)
    (path,) = write(replace(make(), intervals=(first, second)), tmp_path, [format_])
    if format_ == "json":
        found = json.loads(path.read_text(), parse_float=str)["results"]["clip"]
        numbers = [(*i["segment"], i["score"]) for i in found]
    else:
        numbers = [(start, end, score) for _, start, end, _, score in csv.reader(path.read_text().splitlines()[1:])]
    assert numbers == [("1.34", "1.4", "0.77"), ("3599.3", "3600.666667", "3.33333333e-08")]


def test_a_sliver_keeps_a_length(make, tmp_path):
    end = np.nextafter(5000.0, 6000)
    (path,) = write(replace(make(), intervals=(Interval(5000.0, end, "hug", 0.5),)), tmp_path, ["json"])
    read = load_detections(path)
    assert (read.start.tolist(), read.end.tolist()) == ([5000.0], [5000.000001])


def test_what_is_scored_in_memory_is_what_is_scored_from_the_file(make, tmp_path):
    """Before rounding, the end falls short of a tIoU of 0.5 by the last bit, and the scores differ by theirs."""
    near = Interval(0.0, np.nextafter(0.5, 0), "hug", 0.5)
    wrong = Interval(7.0, 8.0, "hug", np.nextafter(0.5, 1))
    found = replace(make(), intervals=(wrong, near))
    truth = {"database": {"clip": {"subset": "test", "annotations": [{"label": "hug", "segment": [0, 1]}]}}}
    (path,) = write(found, tmp_path, ["json"])
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    arguments = (tmp_path / "truth.json", "activitynet", [0.5])
    assert hasvideo.evaluate([found], *arguments) == hasvideo.evaluate(path, *arguments)


@RELAXED
@given(intervals=ROWS)
def test_csv_reads_back_to_the_microsecond(make, tmp_path, intervals):
    (path,) = write(replace(make(video="a,b"), intervals=tuple(intervals)), tmp_path, ["csv"])
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["video", "start", "end", "label", "score"]
    assert [row[0] for row in rows] == ["a,b"] * len(intervals)
    for row, interval in zip(rows, intervals, strict=True):
        assert row[3] == interval.label.replace("\r", " ")
        numbers = [float(row[k]) for k in (1, 2, 4)]
        assert numbers == pytest.approx([interval.start, interval.end, interval.score], abs=6e-7)


def test_json_is_an_activitynet_submission(make, tmp_path):
    detections = replace(make(rule=IntervalRule(0.4, "minmax", 1.0, 0.5)), intervals=(Interval(1.5, 2.0, "hug", 0.25),))
    (path,) = write(detections, tmp_path, ["json"])
    assert json.loads(path.read_text()) == {
        "version": "VERSION 1.3",
        "results": {"clip": [{"label": "hug", "score": 0.25, "segment": [1.5, 2.0]}]},
        "external_data": {
            "details": "model kinetics400, threshold 0.4 of min..max, merge gap 1 s, min duration 0.5 s",
        },
    }


def test_many_videos_go_into_one_submission(make, tmp_path):
    batch = [make(video=name) for name in ("b", "a", os.fsdecode(b"latin\xe91"))]
    write_results_json(batch, tmp_path / "results.json")
    assert load_detections(tmp_path / "results.json").videos == ("b", "a", os.fsdecode(b"latin\xe91"))


def test_scores_of_numpy_are_written(make, tmp_path):
    interval = Interval(np.float32(1.5), np.float64(2.0), "hug", np.float32(0.25))
    (path,) = write(replace(make(), intervals=(interval,)), tmp_path, ["json"])
    assert load_detections(path).score.tolist() == [0.25]


def test_table_of_a_short_video(make):
    intervals = (Interval(3.456, 12.0, "side kick", 0.5), Interval(0.5, 1.25, "hug", 0.9876))
    assert table(replace(make(), intervals=intervals)).splitlines() == [
        "start    end  label      score",
        " 0.50   1.25  hug        0.988",
        " 3.46  12.00  side kick  0.500",
    ]


def test_table_beyond_a_minute_adds_times_as_players_show_them(make):
    intervals = (Interval(59.7, 61.2, "hug", 0.5), Interval(3725.0, 3730.4, "side kick", 0.25))
    assert table(replace(make(), intervals=intervals)).splitlines() == [
        "  start      end  at               label      score",
        "  59.70    61.20  1:00-1:01        hug        0.500",
        "3725.00  3730.40  1:02:05-1:02:10  side kick  0.250",
    ]


def test_table_keeps_odd_labels_on_their_line_and_aligned(make):
    intervals = tuple(Interval(k, k + 1, label, 0.5) for k, label in enumerate(["a\nb\x1b[31m", "日本", "e\u0301té"]))
    lines = table(replace(make(), intervals=intervals)).splitlines()
    assert len(lines) == 4
    assert "\x1b" not in lines[1]
    assert lines[2].endswith("  日本      0.500")  # padded to the eight columns of "a b [31m"
    assert lines[3].endswith("  e\u0301té       0.500")


def test_table_without_intervals_names_the_closest_class(make):
    detections = make()
    assert table(replace(detections, intervals=())) == "no action found (closest class: hugging, probability 0.900)"
    assert "no class is probable enough" in table(replace(detections, intervals=(), activations=()))


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.5, "1:00"), (61, "1:01"), (3599.6, "1:00:00"), (36_610, "10:10:10")]
)
def test_clock(seconds, shown):
    assert clock(seconds) == shown
