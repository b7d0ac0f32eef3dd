"""Localizing on a Ray cluster that the test starts: what it finds is what is found without it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hasvideo import batch_on_ray
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.localize import main
from tests.colours import colour_model, paint_video

pytest.importorskip("ray")


@pytest.fixture
def model(tmp_path, monkeypatch) -> str:
    """A checkpoint whose extractor an installed package offers, to every process that is told of its folder."""
    package = tmp_path / "packages" / "colours-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: colours\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[hasvideo.extractors]\ncolour = tests.colours:ColourExtractor\n")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(package.parent), str(Path(__file__).parents[1]))))
    return str(colour_model(tmp_path / "colours.ckpt"))


def test_the_same_intervals_as_without_ray(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "videos").mkdir()
    paint_video(tmp_path / "videos" / "a.mp4", "black", "red", "green")
    paint_video(tmp_path / "videos" / "b.mp4", "green", "black", "black")
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"no video")
    found = {}
    for name, engine in {"here": ["torch"], "ray": ["ray", "--ray-address", "local"]}.items():
        arguments = ["videos", "--model", model, "-f", "json", "html", "-o", name, "--results", f"{name}.json"]
        assert main([*arguments, "--start", "0.5", "--quiet", "--engine", *engine]) == 1
        found[name] = capsys.readouterr()
        assert json.loads((tmp_path / f"{name}.json").read_text())["results"]["a"]
    assert sorted(found["ray"].out.splitlines()) == sorted(found["here"].out.splitlines())
    errors = [line for line in found["ray"].err.splitlines() if "hasvideo: error" in line]
    assert len(errors) == 1
    assert "broken.mp4: no video" in errors[0]
    assert json.loads((tmp_path / "ray.json").read_text()) == json.loads((tmp_path / "here.json").read_text())
    for name in ("a.json", "a.html", "b.json", "b.html"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_what_is_wrong_is_said_before_any_video_is_read(model, tmp_path):
    video = str(paint_video(tmp_path / "a.mp4", "red"))
    with pytest.raises(HasvideoError, match="no Ray cluster at --ray-address 127.0.0.1:1"):
        main([video, "--model", model, "--engine", "ray", "--ray-address", "127.0.0.1:1"])
    with pytest.raises(UsageError, match="--ray-address is for --engine ray"):
        main([video, "--model", model, "--ray-address", "127.0.0.1:1"])
    with pytest.raises(UsageError, match="--engine ray is for files; standard input is a stream"):
        main(["-", "--model", model, "--engine", "ray", "--ray-address", "local"])


def test_workers_get_the_file_of_weights(model, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(batch_on_ray, "Localizer", lambda *_, **options: given.append(options))
    monkeypatch.setattr(batch_on_ray, "run_on_ray", lambda make, *_, **__: iter([make("cuda")][:0]))
    monkeypatch.chdir(tmp_path)
    video = str(paint_video(tmp_path / "a.mp4", "red"))
    assert main([video, "--model", model, "--engine", "ray", "--weights", "w.pt"]) == 0
    assert given == [{"device": "cuda", "weights": tmp_path / "w.pt"}]
