"""Reading ground truth and detections: what is accepted, and what is said of what is not."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from hasvideo.datasets.annotations import (
    AnnotatedVideo,
    Annotations,
    Instance,
    load_annotations,
    load_detections,
    parse_annotations,
    parse_detections,
    save_annotations,
)
from hasvideo.errors import HasvideoError, UsageError


def database(**subsets):
    annotations = [{"label": "a", "segment": [0, 1]}]
    return {"database": {name: {"subset": subset, "annotations": annotations} for name, subset in subsets.items()}}


def test_round_trip(tmp_path):
    made = Annotations(
        {
            "v1": AnnotatedVideo("test", (Instance("jump", 0.1, 2.5), Instance("Ambiguous", 3.0, 4.0)), 12.5, 29.97),
            "v 2 ü": AnnotatedVideo("train", ()),
        }
    )
    save_annotations(made, tmp_path / "gt.json")
    read = load_annotations(tmp_path / "gt.json")
    assert read.videos == made.videos
    assert json.loads((tmp_path / "gt.json").read_text())["database"]["v 2 ü"] == {"subset": "train", "annotations": []}


def test_segments_may_be_strings_and_extra_keys_are_ignored():
    item = {"label": "a", "segment": ["18.6", " 24.8 "], "segment(frames)": [1, 2], "label_id": 3}
    read = parse_annotations({"database": {"v": {"subset": "test", "annotations": [item], "duration": "30.5"}}})
    assert read.videos["v"] == AnnotatedVideo("test", (Instance("a", 18.6, 24.8),), 30.5)
    found = parse_detections({"results": {"v": [{"label": "a", "segment": ["1", 2], "score": "0.5"}]}})
    assert (found.start.tolist(), found.end.tolist(), found.score.tolist()) == ([1], [2], [0.5])


@pytest.mark.parametrize("asked", ["train", "Training", "TRAIN"])
@pytest.mark.parametrize("spelled", ["train", "training", "Train"])
def test_subset_synonyms(asked, spelled):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(parse_annotations(database(x=spelled, y="test", z="val")).select(asked).videos) == ["x"]


@pytest.mark.parametrize(("asked", "spelled"), [("val", "Validation"), ("validation", "valid"), ("testing", "Test")])
def test_more_subset_synonyms(asked, spelled):
    assert list(parse_annotations(database(x=spelled, y="other")).select(asked).videos) == ["x"]


def test_train_and_validation_stand_in_for_each_other_only_where_one_is_missing():
    with pytest.warns(UserWarning, match="gt has no subset 'train'; taking 'Validation'"):
        assert list(parse_annotations(database(x="Validation", y="Test"), "gt").select("train").videos) == ["x"]
    with pytest.raises(UsageError, match="gt has no subset 'test'; it has: 'train', 'val'"):
        parse_annotations(database(x="train", y="val"), "gt").select("test")


@pytest.mark.parametrize(
    ("subsets", "expected"),
    [({"x": "fold 3"}, "x"), ({"x": "Test", "y": "train"}, "x"), ({"x": "train", "y": "testing"}, "y")],
)
def test_subset_for_evaluation_is_the_only_one_or_test(subsets, expected):
    assert list(parse_annotations(database(**subsets)).select_for_evaluation().videos) == [expected]


def test_subset_for_evaluation_must_be_clear_and_have_instances():
    with pytest.raises(UsageError, match="say which subset to score on; subsets with instances: 'train', 'val'"):
        parse_annotations(database(x="train", y="val")).select_for_evaluation()
    # ActivityNet's testing subset has videos but no instances.
    data = database(x="validation")
    data["database"]["hidden"] = {"subset": "testing", "annotations": []}
    assert list(parse_annotations(data).select_for_evaluation().videos) == ["x"]
    with pytest.raises(UsageError, match="subset 'testing' has no instances"):
        parse_annotations(data).select_for_evaluation("testing")


def test_labels_leave_out_ambiguous():
    data = database(x="test")
    data["database"]["x"]["annotations"] += [
        {"label": "Ambiguous", "segment": [1, 2]},
        {"label": "B", "segment": [1, 2]},
    ]
    read = parse_annotations(data)
    assert read.labels == read.videos["x"].labels == ["B", "a"]
    assert read.counts() == {
        "test": {"videos": 1, "annotated": 1, "instances": 2, "classes": 2, "ambiguous": 1, "ambiguous_videos": 1}
    }


def test_columns_keep_file_order():
    found = parse_detections(
        {
            "results": {
                "w": [{"label": "b", "segment": [0, 1], "score": 1}, {"label": "a", "segment": [2, 3], "score": 2}],
                "empty": [],
                "v": [{"label": "b", "segment": [4, 5], "score": 3}],
            }
        }
    )
    assert found.videos == ("w", "empty", "v")
    assert [found.videos[i] for i in found.video] == ["w", "w", "v"]
    assert [found.labels[i] for i in found.label] == ["b", "a", "b"]
    assert found.score.dtype == np.float64


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"label": "a", "segment": [2, 1]}, "segment [2, 1] is reversed; the end must come after the start"),
        ({"label": "a", "segment": [1]}, "segment [1] is not [start, end] in seconds"),
        ({"label": "a", "segment": "12"}, "segment '12' is not [start, end] in seconds"),
        ({"label": "a", "segment": {"0": 1, "1": 2}}, "is not [start, end] in seconds"),
        ({"label": "a"}, "segment None is not [start, end] in seconds"),
        ({"label": "a", "segment": [0, "1,5"]}, "segment '1,5' is not a number"),
        ({"label": "a", "segment": [0, None]}, "segment None is not a number"),
        ({"label": "a", "segment": [0, float("inf")]}, "segment inf is not finite"),
        ({"segment": [0, 1]}, 'has no "label"'),
        ({"label": "", "segment": [0, 1]}, 'has no "label"'),
        ({"label": 3, "segment": [0, 1]}, 'has no "label"'),
        ({"label": ["a"], "segment": [0, 1]}, 'has no "label"'),
        ("a", 'has no "label"'),
    ],
)
def test_wrong_entries_name_file_video_and_entry(tmp_path, item, message):
    good = {"label": "a", "segment": [0, 1], "score": 0.5}
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"database": {"v": {"subset": "test", "annotations": [good, item]}}}))
    with pytest.raises(HasvideoError) as error:
        load_annotations(path)
    assert str(error.value).startswith(f'{path}: database["v"].annotations[1]')
    assert message in str(error.value)
    item = item | {"score": 1} if isinstance(item, dict) else item
    path.write_text(json.dumps({"results": {"u": [good], "v": [good, item]}}))
    with pytest.raises(HasvideoError) as error:
        load_detections(path)
    assert str(error.value).startswith(f'{path}: results["v"][1]')
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (float("nan"), "score nan is not finite"),
        (float("-inf"), "score -inf is not finite"),
        (None, "score None is not a number"),
        ("high", "score 'high' is not a number"),
        ([0.5], r"score [0.5] is not a number"),
    ],
)
def test_wrong_scores_are_named(score, message):
    with pytest.raises(HasvideoError) as error:
        parse_detections({"results": {"v": [{"label": "a", "segment": [0, 1], "score": score}]}}, "d.json")
    assert str(error.value) == f'd.json: results["v"][0]: {message}'


def test_missing_score_is_named():
    with pytest.raises(HasvideoError, match=r'd.json: results\["v"\]\[0\] has no "score"'):
        parse_detections({"results": {"v": [{"label": "a", "segment": [0, 1]}]}}, "d.json")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, 'has no "subset"'),
        ([], 'has no "subset"'),
        ({"subset": "test", "annotations": {}}, "annotations is not a list"),
        ({"subset": "test", "duration": 0}, "duration 0 is not positive"),
        ({"subset": "test", "fps": "fast"}, "fps 'fast' is not a number"),
    ],
)
def test_wrong_videos_are_named(entry, message):
    with pytest.raises(HasvideoError, match=message) as error:
        parse_annotations({"database": {"v": entry}}, "gt.json")
    assert str(error.value).startswith('gt.json: database["v"]')


def test_the_wrong_kind_of_file_is_told():
    with pytest.raises(HasvideoError, match=r'd.json is a detections file; ground truth would have "database"'):
        parse_annotations({"results": {}}, "d.json")
    with pytest.raises(HasvideoError, match=r'g.json is a ground-truth file; detections would have "results"'):
        parse_detections({"database": {}}, "g.json")
    with pytest.raises(HasvideoError, match='expected a JSON object with "results"'):
        parse_detections({"v": []}, "x.json")
    with pytest.raises(HasvideoError, match=r'results\["v"\] is not a list'):
        parse_detections({"results": {"v": {"label": "a"}}}, "x.json")
    with pytest.raises(HasvideoError, match=r"expected hasvideo.types.Detections, got int"):
        parse_detections([1])


def test_unreadable_files(tmp_path):
    with pytest.raises(HasvideoError, match=r"cannot read .*missing.json: No such file"):
        load_annotations(tmp_path / "missing.json")
    with pytest.raises(HasvideoError, match=r"cannot read .*: Is a directory"):
        load_annotations(tmp_path)
    (tmp_path / "cut.json").write_text('{"database": {')
    with pytest.raises(HasvideoError, match=r"cut.json is not a JSON file: .*line 1 column 15"):
        load_annotations(tmp_path / "cut.json")
    (tmp_path / "binary.json").write_bytes(b"\x93NUMPY\xff")
    with pytest.raises(HasvideoError, match=r"binary.json is not a JSON file: byte 0 is not UTF-8"):
        load_detections(tmp_path / "binary.json")
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(HasvideoError, match=r"deep.json is not a JSON file"):
        load_detections(tmp_path / "deep.json")


def test_real_files(shared_data):
    folder = shared_data / "thumos14"
    counts = load_annotations(folder / "gt_basnet.json").counts()
    assert {name: (of["videos"], of["instances"], of["classes"]) for name, of in counts.items()} == {
        "test": (210, 3311, 20),
        "train": (200, 3007, 20),
    }
    found = load_detections(folder / "detections/stpn.json")
    assert (len(found), len(found.videos), len(found.labels)) == (9151, 209, 20)


def test_instances_without_length_are_left_out_with_one_warning():
    """The official ActivityNet 1.3 file has some."""
    segments = [[0, 0], [1, 2], [3, 3]]
    entry = {"subset": "test", "annotations": [{"label": "a", "segment": s} for s in segments]}
    with pytest.warns(UserWarning, match="^g.json: left out 2 instances without length, such as a at 0 s of v") as said:
        read = parse_annotations({"database": {"v": entry, "w": entry | {"annotations": []}}}, "g.json")
    assert len(said) == 1
    assert read.videos["v"].instances == (Instance("a", 1.0, 2.0),)
    assert read.counts()["test"]["instances"] == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_with_a_byte_order_mark(tmp_path, encoding):
    text = '{"database": {"Grüße": {"subset": "test"}}}'
    (tmp_path / "g.json").write_bytes(text.encode(encoding))
    assert list(load_annotations(tmp_path / "g.json").videos) == ["Grüße"]


def test_annotations_under_the_names_of_others():
    read = Annotations({"a.mp4": AnnotatedVideo("test", ()), "b": AnnotatedVideo("test", ())})
    assert list(read.named_like(["a", "b.avi", "c"]).videos) == ["a", "b.avi"]
    twice = Annotations({"a.mp4": AnnotatedVideo("test", ()), "v/a": AnnotatedVideo("test", ())}, "g.json")
    with pytest.raises(HasvideoError, match="g.json has video 'a' twice"):
        twice.named_like(["a"])
