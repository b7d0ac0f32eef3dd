"""The film strip and the bar."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hasvideo.progress import FilmStrip, VideoProgress
from hasvideo.types import VideoInfo

INFO = VideoInfo(Path("v.mp4"), 100.0, 25.0, 320, 240)
CHUNK = np.zeros((4, 240, 320, 3), np.uint8)


@pytest.mark.parametrize("seconds", [3, 30, 3000])
def test_the_strip_spans_the_video_evenly_whatever_its_length(seconds):
    strip = FilmStrip(most=24)
    for time in np.arange(0, seconds, 1.28):
        strip(INFO, float(time), CHUNK)
    times = [time for time, _ in strip.frames]
    gaps = np.diff(times)
    assert len(times) <= 24
    assert len(times) >= min(12, seconds / 1.28)
    assert times[0] == 0
    assert times[-1] > 0.8 * seconds - 2
    assert gaps.max() <= 2 * gaps.min() + 1.28 + 1e-6


def test_the_strip_s_frames_are_small_copies():
    strip = FilmStrip(height=120)
    chunk = CHUNK.copy()
    strip(INFO, 0.0, chunk)
    chunk[:] = 255
    assert strip.frames[0][1].shape == (120, 160, 3)
    assert strip.frames[0][1].max() == 0


def test_the_bar_counts_seconds_of_the_part_on_standard_error(capsys):
    with VideoProgress("v.mp4", start=10.0, end=30.0) as progress:
        progress(INFO, 10.0, CHUNK)
        progress(INFO, 20.0, CHUNK)
        progress._bar.refresh()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "10/20 s of video" in captured.err


def test_quiet_is_quiet(capsys):
    with VideoProgress("v.mp4", quiet=True) as progress:
        progress(INFO, 0.0, CHUNK)
    assert capsys.readouterr() == ("", "")
