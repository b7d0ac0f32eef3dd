"""What the converters' tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.thumos14 import read_official
from hasvideo.commands import run
from hasvideo.datasets.annotations import AMBIGUOUS, AnnotatedVideo, Annotations
from hasvideo.types import Detections, Interval, VideoInfo


@pytest.fixture
def thumos(shared_data):
    return shared_data / "thumos14"


@pytest.fixture
def official(thumos):
    return read_official(thumos / "annotation")


def _instances(annotations: Annotations, ambiguous: bool = False) -> dict[str, list[tuple[str, float, float]]]:
    """Sorted instances of the videos that have any."""
    rows = {
        name: sorted((i.label, i.start, i.end) for i in video.instances if ambiguous or i.label != AMBIGUOUS)
        for name, video in annotations.videos.items()
    }
    return {name: items for name, items in rows.items() if items}


def _command(module, *arguments) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        run(module.main, [str(a) for a in arguments])
    return stop.value.code


def _as_detections(name: str, video: AnnotatedVideo, folder: Path) -> Detections:
    info = VideoInfo(folder / f"{name}.mp4", video.duration or 2000.0, video.fps or 30.0, 320, 180)
    return Detections(name, info, tuple(Interval(i.start, i.end, i.label, 0.5) for i in video.instances))


@pytest.fixture
def instances():
    return _instances


@pytest.fixture
def command():
    return _command


@pytest.fixture
def as_detections():
    return _as_detections
