"""Tables of intervals."""

from __future__ import annotations

import pytest

from data_prep import intervals_csv
from data_prep.intervals_csv import read_intervals_csv
from hasvideo.datasets.annotations import AnnotatedVideo, Instance, load_annotations
from hasvideo.errors import HasvideoError


def test_csv_there_and_back(official, tmp_path):
    rows = [
        f"{name},{i.start},{i.end},{i.label},{video.subset}"
        for name, video in official.videos.items()
        for i in video.instances
    ]
    (tmp_path / "t.csv").write_text("video,start,end,label,subset\n" + "\n".join(rows) + "\n")
    assert read_intervals_csv(tmp_path / "t.csv").videos == official.videos


def test_csv_details(tmp_path):
    (tmp_path / "t.csv").write_bytes('\ufefflabel, score, video, start, end\r\n"a, b", 0.5, v, 1, 2\r\n'.encode())
    assert read_intervals_csv(tmp_path / "t.csv", "train").videos == {
        "v": AnnotatedVideo("train", (Instance("a, b", 1.0, 2.0),))
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line must name the columns video, start, end, label; it lacks video"),
        ("sep=,\nvideo;start;end;label\nv;1;2;a\n", "lacks video. It is 'video;start;end;label'; .* tried: a comma$"),
        ("video,start,end,label\nv,1,2,a\nv,2,1,a\n", r"t.csv:3: segment \[2, 1\] is reversed"),
        ("video,start,end,label\nv,1,2\n", "t.csv:2: video, start, end, label must all be filled"),
        ("video,start,end,label,subset\nv,1,2,a,test\nv,1,2,a,train\n", "'v' is in the subsets 'test' and 'train'"),
    ],
)
def test_wrong_csv(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(HasvideoError, match=message):
        read_intervals_csv(tmp_path / "t.csv")


def test_csv_names_videos_with_and_without_ending(tmp_path, command):
    """One file of rows, another of durations, and each names the videos in its way."""
    (tmp_path / "t.csv").write_text("Video;Start;End;Label\nclip.mp4;0:01,5;2;a\nclip;3;0:00:04;a\ntrial.1;1;2;a\n")
    (tmp_path / "meta.csv").write_text("VIDEO\tDuration\tFPS\nv/clip.avi\t1:02,5\t25\ntrial.1\t9\t\n")
    target = tmp_path / "out.json"
    assert command(intervals_csv, tmp_path / "t.csv", "--meta", tmp_path / "meta.csv", "-o", target) == 0
    assert load_annotations(target).videos == {
        "clip": AnnotatedVideo("test", (Instance("a", 1.5, 2.0), Instance("a", 3.0, 4.0)), 62.5, 25.0),
        "trial.1": AnnotatedVideo("test", (Instance("a", 1.0, 2.0),), 9.0),
    }


def test_csv_of_two_videos_that_differ_in_their_ending(tmp_path):
    (tmp_path / "t.csv").write_text("video,start,end,label\na.mp4,1,2,x\na.avi,1,2,x\n")
    assert list(read_intervals_csv(tmp_path / "t.csv").videos) == ["a.mp4", "a.avi"]
    (tmp_path / "t.csv").write_text("video,start,end,label\na.mp4,1,2,x\na.avi,1,2,x\na,1,2,x\n")
    with pytest.raises(HasvideoError, match="t.csv: 'a' may be one of several videos, beside 'a.mp4' and 'a.avi'"):
        read_intervals_csv(tmp_path / "t.csv")
