"""THUMOS14 in each of its published layouts, on the real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep import thumos14
from data_prep.thumos14 import check_class_list, read_official, read_thumos14
from hasvideo.datasets.annotations import AMBIGUOUS, THUMOS14_CLASSES, Instance, load_annotations
from hasvideo.errors import HasvideoError


def test_official_counts_match_the_data_readme(official):
    assert official.counts() == {
        "test": {
            "videos": 213,
            "annotated": 212,
            "instances": 3358,
            "classes": 20,
            "ambiguous": 99,
            "ambiguous_videos": 37,
        },
        "validation": {
            "videos": 200,
            "annotated": 200,
            "instances": 3007,
            "classes": 20,
            "ambiguous": 89,
            "ambiguous_videos": 35,
        },
    }
    assert official.labels == sorted(THUMOS14_CLASSES)


def test_official_files_there_and_back(official, thumos):
    """The lines of every text file are those that the read annotations would be written as, in the same order."""
    for folder, tag in (("annotation_val", "val"), ("annotation_test", "test")):
        for label in (*THUMOS14_CLASSES, AMBIGUOUS):
            lines = (thumos / "annotation" / folder / f"{label}_{tag}.txt").read_text().splitlines()
            subset = {"val": "validation"}.get(tag, tag)
            for name, video in official.videos.items():
                mine = [i for i in video.instances if i.label == label and video.subset == subset]
                assert [line.split() for line in lines if line.startswith(name)] == [
                    [name, str(i.start), str(i.end)] for i in mine
                ]


def test_command_prints_counts_and_warns_of_the_quirks(thumos, tmp_path, capsys, command):
    target = tmp_path / "thumos14.json"
    assert command(thumos14, thumos / "annotation", "--meta", thumos / "video_meta.csv", "-o", target) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "test: 212 videos (+1 without instances), 3358 instances of 20 classes, 99 ambiguous in 37 videos",
        "validation: 200 videos, 3007 instances of 20 classes, 89 ambiguous in 35 videos",
    ]
    made = load_annotations(target)
    assert made.videos["video_test_0000004"].duration == pytest.approx(33.83, abs=0.01)
    assert all(video.duration and video.fps for video in made.videos.values())


def test_quirks_of_thumos14(thumos, recwarn, tmp_path):
    thumos14.main(
        [str(thumos / "annotation"), "--meta", str(thumos / "video_meta.csv"), "-o", str(tmp_path / "out.json")]
    )
    text = "\n".join(str(w.message) for w in recwarn)
    assert "30 segments end after their video does: video_test_0000270 (22), video_test_0000814 (3)" in text
    assert "every CliffDiving instance (360) is also a Diving instance" in text
    assert "video_test_0000270 (29 instances) and video_test_0001496 (18 instances) are falsely annotated" in text
    assert "these are 212 test videos, many papers use 210" in text
    assert "only Ambiguous instances in video_test_0001292" in text


def test_dropping_the_falsely_annotated_gives_basnets_list(thumos, tmp_path, instances):
    target = tmp_path / "out.json"
    with pytest.warns(UserWarning, match="these are 210 test videos, without the falsely annotated"):
        thumos14.main([str(thumos / "annotation"), "--drop-falsely-annotated", "-o", str(target)])
    assert instances(load_annotations(target)) == instances(load_annotations(thumos / "gt_basnet.json"))


def make_official(folder: Path, tag: str = "test") -> Path:
    folder.mkdir()
    for label in THUMOS14_CLASSES:
        (folder / f"{label}_{tag}.txt").write_text(f"video_{tag}_1  1.5 2\n\nvideo_{tag}_2\t3 4.5\n")
    return folder


def test_official_folder_alone(tmp_path):
    read = read_official(make_official(tmp_path / "annotation_val", "val"))
    assert read.counts()["validation"]["instances"] == 40
    assert read.videos["video_val_1"].instances[0] == Instance("BaseballPitch", 1.5, 2.0)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("Diving_test.txt", "v 1 2\nv 3\n", "Diving_test.txt:2: 'v 3' is not 'video start end'"),
        ("Diving_test.txt", "v 2 1\n", r"Diving_test.txt:1: segment \[2, 1\] is reversed"),
        ("Diving_test.txt", "v one 1\n", r"Diving_test.txt:1: segment 'one' is not a number"),
        ("Diving_test.txt", None, "Diving_test.txt is missing; the 20 classes each have a file"),
        ("Skiing_test.txt", "v 1 2\n", "Skiing_test.txt is of no known class"),
        ("detclasslist.txt", "7 BaseballPitch\n", "is not the list of the 20 THUMOS14 classes: BasketballDunk"),
    ],
)
def test_wrong_official_files(tmp_path, name, text, message):
    folder = make_official(tmp_path / "a")
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    with pytest.raises(HasvideoError, match=message):
        read_official(folder)


def test_two_copies_of_the_official_files_are_refused(tmp_path):
    make_official(tmp_path / "a")
    make_official(tmp_path / "b")
    with pytest.raises(HasvideoError, match=r"has both .*/a/BaseballPitch_test.txt and .*/b/BaseballPitch_test.txt"):
        read_official(tmp_path)


def test_class_list_with_other_ids_is_warned_of(thumos, tmp_path, recwarn):
    check_class_list(thumos / "annotation/detclasslist.txt")
    assert not recwarn
    (tmp_path / "detclasslist.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(THUMOS14_CLASSES, 1)))
    with pytest.warns(UserWarning, match="numbers the classes otherwise"):
        check_class_list(tmp_path / "detclasslist.txt")


def test_folder_of_something_else(tmp_path):
    with pytest.raises(HasvideoError, match=r"no CLASS_val.txt or CLASS_test.txt here, nor segments.npy"):
        read_thumos14(tmp_path)


@pytest.mark.parametrize("name", ["Thumos14reduced-Annotations", "thumos14_actionformer.json"])
def test_other_layouts_have_the_official_instances(thumos, official, name, instances):
    assert instances(read_thumos14(thumos / name)) == instances(official)
