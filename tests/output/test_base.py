from __future__ import annotations

import os
from pathlib import Path

import pytest

from hasvideo.output.base import one_line, relative_path, url_path


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  side\n kick\t", "side kick"),
        ("a\x00\x1b[31mb\u2028c", "a [31mb c"),
        ("👨\u200d👩\u200d👧 fami\u0301lia", "👨\u200d👩\u200d👧 fami\u0301lia"),
        (os.fsdecode(b"latin\xe91"), "latin?1"),
    ],
)
def test_one_line(text, clean):
    assert one_line(text) == clean


@pytest.mark.parametrize(
    ("video", "folder", "expected"),
    [
        ("/v/a.mp4", "/v", "./a.mp4"),
        ("/v/a.mp4", "/v/out", "../a.mp4"),
        ("/v/x/a:b.mp4", "/v", "./x/a:b.mp4"),
        ("..a.mp4", ".", "./..a.mp4"),
    ],
)
def test_relative_path(video, folder, expected):
    assert relative_path(Path(video), Path(folder)) == expected


def test_url_path_quotes_bytes_that_are_no_text():
    assert url_path(os.fsdecode(b"./l\xe9 #?%.mp4")) == "./l%E9%20%23%3F%25.mp4"
