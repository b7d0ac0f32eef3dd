"""Label Studio exports, those of our own writer's tasks among them."""

from __future__ import annotations

import json

import pytest

from data_prep.labelstudio import read_labelstudio
from hasvideo.datasets.annotations import AnnotatedVideo, Instance, load_annotations
from hasvideo.errors import HasvideoError
from hasvideo.output.base import WriteOptions
from hasvideo.output.labelstudio import LabelStudioWriter


def test_labelstudio_there_and_back(official, thumos, tmp_path, instances, as_detections):
    """Through the writer of ``localize -f labelstudio``, with its predictions accepted as annotations."""
    some = dict(list(load_annotations(thumos / "thumos14_actionformer.json").videos.items())[::20])
    tasks = []
    for name, video in some.items():
        paths = [tmp_path / "t.json", tmp_path / "t.xml"]
        LabelStudioWriter().write(as_detections(name, video, tmp_path), paths, WriteOptions())
        (task,) = json.loads(paths[0].read_text())
        tasks.append({"data": task["data"], "annotations": task.pop("predictions")})
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    read = read_labelstudio(tmp_path / "export.json")
    for name, video in some.items():
        fps = video.fps or 30.0
        inside = [i for i in video.instances if i.end <= (video.duration or 0)]
        found = instances(read).get(name, [])
        for i in inside:
            near = [
                f for f in found if f[0] == i.label and abs(f[1] - i.start) < 0.6 / fps and abs(f[2] - i.end) < 1 / fps
            ]
            assert near, (name, i)
        assert len(found) == len(video.instances)


def task(value: object, **data: object) -> dict[str, object]:
    return {
        "id": 7,
        "data": {"video": "/data/upload/1/3d3ad63e-my%20clip.mp4", **data},
        "annotations": [
            {"was_cancelled": True, "result": []},
            {"result": [{"type": "timelinelabels", "value": value}]},
        ],
        "predictions": [{"result": [{"value": {"ranges": [{"start": 1, "end": 9}], "timelinelabels": ["no"]}}]}],
    }


def test_labelstudio_frames_count_from_one_and_include_both_ends(tmp_path):
    value = {"ranges": [{"start": 26, "end": 50}, {"start": 60, "end": 60}], "timelinelabels": ["jump"]}
    (tmp_path / "e.json").write_text(json.dumps([task(value)]))
    read = read_labelstudio(tmp_path / "e.json", fps=25)
    assert read.videos == {"my clip": AnnotatedVideo("test", (Instance("jump", 1.0, 2.0), Instance("jump", 2.36, 2.4)))}
    # What the task says of itself is surer than the option.
    (tmp_path / "e.json").write_text(json.dumps([task(value, fps=50, duration=9.5)]))
    read = read_labelstudio(tmp_path / "e.json", fps=25)
    assert read.videos["my clip"].instances[0] == Instance("jump", 0.5, 1.0)
    assert read.videos["my clip"].duration == 9.5


@pytest.mark.parametrize(
    ("url", "video"),
    [
        ("/data/local-files/?d=folder/3d3ad63e-a%20b.mp4", "3d3ad63e-a b"),
        ("s3://bucket/x.y.mp4", "x.y"),
        ("https://example.org/v/clip.mp4?token=1", "clip"),
    ],
)
def test_labelstudio_video_names(tmp_path, url, video):
    (tmp_path / "e.json").write_text(json.dumps([{"id": 1, "data": {"video": url}, "annotations": []}]))
    assert list(read_labelstudio(tmp_path / "e.json").videos) == [video]


def test_labelstudio_json_min(tmp_path):
    regions = [{"ranges": [{"start": 1, "end": 25}], "timelinelabels": ["a", "b"]}]
    (tmp_path / "e.json").write_text(json.dumps([{"id": 3, "video": "v.mp4", "fps": 25, "videoLabels": regions}]))
    assert read_labelstudio(tmp_path / "e.json").videos["v"].instances == (
        Instance("a", 0.0, 1.0),
        Instance("b", 0.0, 1.0),
    )


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"id": 1}, "is not a Label Studio export: expected a list of tasks"),
        ([task({"ranges": [{"start": 1, "end": 2}], "timelinelabels": ["a"]})], "task 7 does not say its fps; give"),
        (
            [task({"ranges": [{"start": 9, "end": 2}], "timelinelabels": ["a"]}, fps=25)],
            "task 7: frames .* is reversed",
        ),
        ([task({}, fps=-1)], "task 7: fps -1 is not a positive number"),
        ([task({}), task({})], "there was a task for video 'my clip' already"),
        ([{"id": 2, "data": {"text": "hello"}}], 'task 2: its data has no "video"; it has: text'),
    ],
)
def test_wrong_labelstudio_exports(tmp_path, tasks, message):
    (tmp_path / "e.json").write_text(json.dumps(tasks))
    with pytest.raises(HasvideoError, match=message):
        read_labelstudio(tmp_path / "e.json")


def test_labelstudio_phantom_region_costs_no_other(shared_data):
    with pytest.warns(UserWarning, match="task 7: left out 2 regions: 1 videorectangle, 1 timelinelabels without a w"):
        read = read_labelstudio(shared_data / "faults" / "ls_phantom.json", fps=25)
    assert read.videos == {"clip": AnnotatedVideo("test", (Instance("wave", 1.0, 3.0),))}


def sound(**value: object) -> dict[str, object]:
    """A region of the older templates' sound wave, which is in seconds."""
    return {"type": "labels", "to_name": "audio", "original_length": 10.0, "value": value}


def test_labelstudio_reads_sound_regions_beside_frames(tmp_path):
    frames = {"type": "timelinelabels", "value": {"ranges": [{"start": 1, "end": 25}], "timelinelabels": ["a"]}}
    both = [frames, sound(start=2.5, end=4, channel=0, labels=["b", "c"])]
    tasks = [
        {"id": 1, "data": {"video": "v.mp4", "audio": "v.wav", "fps": 25}, "annotations": [{"result": both}]},
        {
            "id": 2,
            "data": {"audio": "/data/w.wav"},
            "completions": [{"result": [sound(start=0.5, end=1, labels=["b"])]}],
        },
        {"id": 3, "video": "x.mp4", "labels": [{"start": 1, "end": 2, "labels": ["b"], "original_length": 9}]},
    ]
    (tmp_path / "e.json").write_text(json.dumps(tasks))
    assert {name: video.instances for name, video in read_labelstudio(tmp_path / "e.json").videos.items()} == {
        "v": (Instance("a", 0.0, 1.0), Instance("b", 2.5, 4.0), Instance("c", 2.5, 4.0)),
        "w": (Instance("b", 0.5, 1.0),),
        "x": (Instance("b", 1.0, 2.0),),
    }


@pytest.mark.parametrize(
    ("region", "counted"),
    [
        ({"type": "timelinelabels", "value": {"ranges": [{"start": 9}], "timelinelabels": ["b"]}}, "whole range"),
        ({"type": "timelinelabels", "value": {"ranges": [{"start": 1, "end": 2}]}}, "timelinelabels without a label"),
        (
            {"type": "timelinelabels", "value": {"ranges": [], "timelinelabels": ["b"]}},
            "timelinelabels without a whole",
        ),
        (sound(start=1, end=2), "1 labels$"),
        (sound(start=1, labels=["b"]), "1 labels without a whole range"),
        ({"type": "labels", "value": {"start": 1, "end": 9, "text": "hello", "labels": ["noun"]}}, "1 labels$"),
        ({"type": "choices", "value": {"choices": ["good"]}}, "1 choices"),
    ],
)
def test_labelstudio_counts_what_it_cannot_read_by_task(tmp_path, region, counted):
    whole = {"type": "timelinelabels", "value": {"ranges": [{"start": 1, "end": 25}], "timelinelabels": ["a"]}}
    task = {"id": 4, "data": {"video": "v.mp4", "fps": 25}, "annotations": [{"result": [region, whole]}]}
    (tmp_path / "e.json").write_text(json.dumps([task]))
    with pytest.warns(UserWarning, match=f"task 4: left out 1 regions: .*{counted}"):
        read = read_labelstudio(tmp_path / "e.json")
    assert read.videos["v"].instances == (Instance("a", 0.0, 1.0),)
