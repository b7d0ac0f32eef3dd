"""Worker processes: what one of them does wrong is not the others' loss."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.fill import fill
from hasvideo.features.make import Extraction
from tests.colours import paint_video
from tests.features.fragile import check_the_rest_went_on

FRAGILE = Extraction("tests.features.fragile:FragileExtractor")


def test_a_worker_that_dies_is_replaced_and_its_video_listed(tmp_path):
    names = ("black", "blue", "green", "red")
    videos = {name: paint_video(tmp_path / f"{name}.mp4", name) for name in names}
    found = fill(tmp_path / "f", videos, FRAGILE, workers=2, progress=False)
    check_the_rest_went_on(found, why="the worker process was killed by SIGKILL")


def test_what_stops_one_worker_stops_all(tmp_path):
    video = paint_video(tmp_path / "red.mp4", "red")
    with pytest.raises(UsageError, match="cannot be loaded"):
        fill(tmp_path / "f", {"a": video, "b": video}, replace(FRAGILE, extractor="no.such:Thing"), workers=2)
    (tmp_path / "file").touch()
    with pytest.raises(HasvideoError, match="cannot write"):
        fill(tmp_path / "file" / "f", {"a": video, "b": video}, FRAGILE, workers=2, progress=False)
