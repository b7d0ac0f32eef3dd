"""Tables of intervals."""

from __future__ import annotations

import pytest

from data_prep.intervals_csv import read_intervals_csv
from hasvideo.datasets.annotations import (
    AnnotatedVideo,
    Instance,
)
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
        ("video;start;end;label\nv;1;2;a\n", "it lacks video"),
        ("video,start,end,label\nv,1,2,a\nv,2,1,a\n", r"t.csv:3: segment \[2, 1\] is reversed"),
        ("video,start,end,label\nv,1,2\n", "t.csv:2: video, start, end, label must all be filled"),
        ("video,start,end,label,subset\nv,1,2,a,test\nv,1,2,a,train\n", "'v' is in the subsets 'test' and 'train'"),
    ],
)
def test_wrong_csv(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(HasvideoError, match=message):
        read_intervals_csv(tmp_path / "t.csv")
