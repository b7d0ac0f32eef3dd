"""With and without folder and ending, a video is one."""

from __future__ import annotations

import pytest

from hasvideo.datasets.names import same_videos, video_ids
from hasvideo.errors import HasvideoError


@pytest.mark.parametrize(("names", "ids"), [
    (["clip", "clip.mp4", "v/clip", "C:\\v\\x.MOV", "./y.webm"], ["clip", "clip", "clip", "x", "y"]),
    (["trial.1", "trial.2", "c.d.mkv", ".mp4"], ["trial.1", "trial.2", "c.d", ".mp4"]),
    (["a.mp4", "a.avi"], ["a.mp4", "a.avi"]),
    (["1/v.mp4", "2/v.mp4"], ["1/v.mp4", "2/v.mp4"]),
    (["a", "A.mp4"], ["a", "A"]),
])  # fmt: skip
def test_ids(names, ids):
    assert list(video_ids(names, "t.csv").values()) == ids


@pytest.mark.parametrize("names", [
    ["a.mp4", "a.avi", "a"], ["1/a.mp4", "2/a.mp4", "a"], ["1/a.mp4", "2/a.mp4", "a.mp4"],
    ["1/a.mp4", "1/a.avi", "1/a"], ["1/a", "2/a", "a.mp4"],
])  # fmt: skip
def test_names_that_may_be_of_either_are_refused(names):
    with pytest.raises(HasvideoError, match="t.csv: 'a.*may be one of several videos|'1/a' may be one of several"):
        video_ids(names, "t.csv")


def test_one_stem_in_many_folders_takes_no_time():
    names = [f"{i}/video.mp4" for i in range(20_000)]
    assert list(video_ids(names, "t.csv").values()) == names


def test_names_of_another_file():
    assert same_videos(["a.mp4", "b", "c", "x/d.mp4"], ["a", "b.avi", "d"], "f.json") == {
        "a.mp4": "a", "b": "b.avi", "c": "c", "x/d.mp4": "d",
    }  # fmt: skip
    assert same_videos(["a.mp4", "a.avi"], ["a.mp4", "a.avi"], "f.json") == {"a.mp4": "a.mp4", "a.avi": "a.avi"}
    assert same_videos(["a.mp4"], ["a.avi"], "f.json") == {"a.mp4": "a.mp4"}
    with pytest.raises(HasvideoError, match=r"f.json: video 'a' may be 'a.mp4' or 'a.avi'; say which"):
        same_videos(["a"], ["a.mp4", "a.avi"], "f.json")
    with pytest.raises(HasvideoError, match=r"f.json: 'a.mp4' and 'a.avi' would all be video 'a'"):
        same_videos(["a.mp4", "a.avi"], ["a"], "f.json")
