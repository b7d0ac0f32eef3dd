"""The extract command."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import hasvideo
from hasvideo.errors import UsageError
from hasvideo.extract import main, shard_of
from hasvideo.features.make import Extraction
from hasvideo.features.store import FeatureStore
from tests.colours import paint_video

COLOUR = ["--extractor", "tests.colours:ColourExtractor", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    (root / "deep").mkdir()
    paint_video(root / "red.mp4", "red")
    paint_video(root / "deep" / "green.mp4", "green")
    return root


def test_a_folder_of_videos_becomes_a_folder_of_features(folder, tmp_path, capsys):
    output = tmp_path / "features"
    assert main([str(folder), "-o", str(output), *COLOUR]) == 0
    assert capsys.readouterr().out == f"{output}: features of 1 videos made, 0 were there\n"
    assert main([str(folder), "-o", str(output), "--recursive", "--verify", *COLOUR]) == 0
    assert capsys.readouterr().out == f"{output}: features of 1 videos made, 1 were there\n"
    assert FeatureStore(output).load("green").argmax(axis=1).tolist() == [1, 1]
    assert FeatureStore(output).meta.dtype == "float16"


def test_options_may_stand_anywhere_and_choose_the_type(folder, tmp_path):
    assert main(["--dtype", "float32", "-o", str(tmp_path / "f"), *COLOUR, str(folder / "red.mp4")]) == 0
    assert FeatureStore(tmp_path / "f").load("red").dtype == "float32"


def test_failures_are_told_listed_and_exit_1(folder, tmp_path, capsys):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    arguments = [str(folder / "red.mp4"), str(tmp_path / "bad.mp4"), str(tmp_path / "absent.mp4")]
    assert main([*arguments, "-o", str(tmp_path / "f"), *COLOUR]) == 1
    out, err = capsys.readouterr()
    assert "1 videos made, 0 were there, 2 failed" in out
    assert err.count("hasvideo: error: ") == 2
    assert "no such file or folder" in err
    assert "bad.mp4" in (tmp_path / "f" / "failed.csv").read_text()


def test_as_a_function(folder, tmp_path):
    filled = hasvideo.extract(folder, tmp_path / "f", extraction=Extraction(COLOUR[1]), recursive=True, progress=False)
    assert [r.id for r in filled.made] == ["green", "red"]


def test_shards_are_disjoint_complete_and_depend_on_the_id_alone(folder, tmp_path):
    names = [f"video-{i}" for i in range(400)]
    shards = Counter(shard_of(name, 4) for name in names)
    assert set(shards) == {1, 2, 3, 4}
    assert min(shards.values()) > 70
    assert shard_of("video_test_0000004", 16) == 12
    made = []
    for part in ("1/2", "2/2"):
        found = hasvideo.extract(folder, tmp_path / "f", extraction=Extraction(COLOUR[1]), shard=part, recursive=True)
        made += [r.id for r in found.made]
    assert sorted(made) == ["green", "red"]


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3"])
def test_a_wrong_shard(folder, tmp_path, shard):
    with pytest.raises(UsageError, match="shard is K/N"):
        hasvideo.extract(folder, tmp_path / "f", shard=shard)


def test_no_videos(tmp_path):
    with pytest.raises(UsageError, match="no videos given"):
        main(["-o", str(tmp_path / "f")])
    with pytest.raises(UsageError, match="no such file"):
        main([str(tmp_path / "absent"), "-o", str(tmp_path / "f")])


def test_what_cannot_go_on_is_one_line_and_a_code(folder, tmp_path):
    (tmp_path / "file").touch()
    command = [
        sys.executable,
        "-m",
        "hasvideo.extract",
        str(folder),
        "-o",
        str(tmp_path / "file" / "f"),
        "--quiet",
        *COLOUR,
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("hasvideo: error: cannot write")
