from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hasvideo.output.labelstudio import frame_range, labeling_config
from hasvideo.output.writers import write
from hasvideo.types import Interval, VideoInfo


def info(fps, duration=100.0):
    return VideoInfo(None, duration, fps, 320, 240)


@pytest.mark.parametrize(
    ("start", "end", "fps", "frames"),
    [
        (0.0, 1.0, 25.0, (1, 25)),
        (1.0, 2.0, 25.0, (26, 50)),
        (0.0, 100.0, 25.0, (1, 2500)),
        (10.01, 20.02, 30000 / 1001, (301, 600)),
        (1.0, 1.001, 10.0, (11, 11)),
        (99.99, 100.0, 10.0, (1000, 1000)),
        (0.53, 0.97, 10.0, (6, 10)),
    ],
)
def test_frames_count_from_one_and_include_both_ends(start, end, fps, frames):
    assert frame_range(Interval(start, end, "hug", 0.5), info(fps)) == frames


@given(st.floats(0, 99), st.floats(0.001, 50), st.floats(1, 240))
def test_frames_lie_in_the_video_and_within_half_a_frame_of_the_interval(start, length, fps):
    end = min(start + length, 100.0)
    first, last = frame_range(Interval(start, end, "hug", 0.5), info(fps))
    assert 1 <= first <= last <= -(-100 * fps // 1)
    assert abs((first - 1) / fps - start) <= 1 / fps + 1e-9
    assert abs(last / fps - end) <= 1 / fps + 1e-9


def test_task_and_config_fit_each_other(make, tmp_path):
    detections = make(path=tmp_path / "my videos" / "my clip#1.mp4", fps=30000 / 1001)
    task_path, config_path = write(detections, tmp_path, ["labelstudio"])
    ((task,), config) = json.loads(task_path.read_text()), ElementTree.fromstring(config_path.read_text())
    video, timeline = config.find("Video"), config.find("TimelineLabels")
    assert task["data"]["video"] == "/data/local-files/?d=my%20videos/my%20clip%231.mp4"
    assert task["data"][video.attrib["frameRate"].removeprefix("$")] == pytest.approx(30000 / 1001, rel=1e-8)
    assert video.attrib["value"] == "$video"
    allowed = {label.attrib["value"] for label in timeline}
    assert allowed == {"hugging", "side kick"}
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == "kinetics400"
    assert len({region["id"] for region in prediction["result"]}) == len(detections.intervals) == 4
    for region in prediction["result"]:
        assert (region["to_name"], region["from_name"]) == (video.attrib["name"], timeline.attrib["name"])
        assert region["type"] == "timelinelabels"
        assert set(region["value"]["timelinelabels"]) <= allowed


@pytest.mark.parametrize("prefix", ["https://example.org/v", "https://example.org/v/", "https://example.org/?v="])
def test_videos_on_a_web_server_are_called_by_their_address(make, tmp_path, prefix):
    path, _ = write(make(), tmp_path, ["labelstudio"], labelstudio_prefix=prefix)
    (task,) = json.loads(path.read_text())
    assert task["data"]["video"] == (prefix if prefix.endswith("=") else "https://example.org/v/") + "clip.mp4"


def test_regions_carry_frames_and_scores(make, tmp_path):
    detections = replace(make(), intervals=(Interval(1, 2, "hugging", 0.5), Interval(0.5, 0.7, "side kick", 0.25)))
    path, _ = write(detections, tmp_path, ["labelstudio"], labelstudio_prefix="https://example.org/v/")
    (task,) = json.loads(path.read_text())
    assert task["data"]["video"] == "https://example.org/v/clip.mp4"
    regions = [(r["value"]["ranges"], r["score"]) for r in task["predictions"][0]["result"]]
    assert regions == [([{"start": 14, "end": 18}], 0.25), ([{"start": 26, "end": 50}], 0.5)]


def test_labels_are_escaped_in_the_config():
    names = ['<b> & "quoted"', "it's\nthis"]
    labels = ElementTree.fromstring(labeling_config(names)).iter("Label")
    assert [label.attrib["value"] for label in labels] == ['<b> & "quoted"', "it's this"]
