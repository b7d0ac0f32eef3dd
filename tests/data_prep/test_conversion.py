"""What all converters share: inputs, counts, durations, quirks."""

from __future__ import annotations

import pytest

from data_prep import activitynet, elan, intervals_csv, labelstudio, thumos14, wtalc
from data_prep.conversion import quirks
from hasvideo.datasets.annotations import AnnotatedVideo, Annotations, Instance, load_annotations
from hasvideo.errors import HasvideoError


def test_commands_read_several_inputs_and_refuse_double_videos(tmp_path, capsys, command):
    (tmp_path / "a.csv").write_text("video,start,end,label\nv,1,2,x\n")
    (tmp_path / "b.csv").write_text("video,start,end,label\nw,1,2,x\n")
    target = tmp_path / "out.json"
    assert command(intervals_csv, tmp_path / "a.csv", tmp_path / "b.csv", "--subset", "train", "-o", target) == 0
    assert capsys.readouterr().out == "train: 2 videos, 2 instances of 1 classes\n"
    assert list(load_annotations(target).videos) == ["v", "w"]
    target.unlink()
    assert command(intervals_csv, tmp_path / "a.csv", tmp_path / "a.csv", "-o", target) == 1
    assert "video 'v' was already in" in capsys.readouterr().err
    assert not target.exists()


@pytest.mark.parametrize("module", [activitynet, elan, intervals_csv, labelstudio, thumos14, wtalc])
def test_missing_inputs_fail_in_one_line(module, tmp_path, capsys, command):
    assert command(module, tmp_path / "nothing", "-o", tmp_path / "out.json") == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("hasvideo: error: cannot read")
    assert len(captured.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_meta_may_lack_videos_and_must_hold_numbers(tmp_path):
    (tmp_path / "a.csv").write_text("video,start,end,label\nv,1,2,x\nw,1,2,x\n")
    (tmp_path / "meta.csv").write_text("video,duration,fps\nv,1.5,25\n")
    arguments = [str(tmp_path / "a.csv"), "--meta", str(tmp_path / "meta.csv"), "-o", str(tmp_path / "out.json")]
    with pytest.warns(UserWarning, match="meta.csv lacks 1 of the videos, such as w"):
        intervals_csv.main(arguments)
    assert load_annotations(tmp_path / "out.json").videos["v"].fps == 25
    (tmp_path / "meta.csv").write_text("video,duration,fps\nv,long,25\n")
    with pytest.raises(HasvideoError, match=r"meta.csv:2: duration 'long' is not a positive number"):
        intervals_csv.main(arguments)


def test_quirks_only_where_there_are_some():
    clean = {"v": AnnotatedVideo("test", (Instance("a", 0, 1), Instance("b", 1, 2)), 2.0)}
    assert quirks(Annotations(clean)) == []
    odd = {"v": AnnotatedVideo("test", (Instance("a", 0, 3), Instance("b", 0, 3), Instance("b", 1, 2)), 2.0)}
    assert quirks(Annotations(odd)) == [
        "2 segments end after their video does: v (2)",
        "every a instance (1) is also a b instance",
    ]
