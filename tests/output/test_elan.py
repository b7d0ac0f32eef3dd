from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pympi
import pytest

from data_prep.elan import read_elan
from hasvideo.frames.live import as_source
from hasvideo.output.writers import write
from hasvideo.types import Interval


def test_one_tier_a_class_in_milliseconds(make, tmp_path):
    detections = make()
    (path,) = write(detections, tmp_path, ["eaf"])
    eaf = pympi.Eaf(path)
    assert list(eaf.get_tier_names()) == ["hugging", "side kick"]
    for label in ("hugging", "side kick"):
        expected = sorted(i.start for i in detections.intervals if i.label == label)
        times = [(start, end, score) for start, end, score in eaf.get_annotation_data_for_tier(label)]
        assert [start / 1000 for start, _, _ in times] == pytest.approx(expected, abs=5e-4)
        assert len(times) == 2
    assert eaf.get_annotation_data_for_tier("hugging")[0][2] == f"{detections.intervals[0].score:.3f}"


def test_a_class_without_intervals_has_its_tier(make, tmp_path):
    (path,) = write(replace(make(), intervals=()), tmp_path, ["eaf"])
    assert list(pympi.Eaf(path).get_tier_names()) == ["hugging", "side kick"]


@pytest.mark.parametrize(
    ("folder", "name", "relative"),
    [(".", "a b&c.mp4", "./a b&c.mp4"), ("out/deep", "läuft.avi", "../../läuft.avi"), (".", "-x.webm", "./-x.webm")],
)
def test_the_video_is_linked_from_where_the_file_is(make, tmp_path, folder, name, relative):
    (path,) = write(make(path=tmp_path / name), tmp_path / folder, ["eaf"])
    (media,) = pympi.Eaf(path).media_descriptors
    assert media["RELATIVE_MEDIA_URL"] == relative
    assert (path.parent / relative).resolve() == tmp_path / name
    assert Path("/" + media["MEDIA_URL"].removeprefix("file:///")) == tmp_path / name
    assert media["MIME_TYPE"].startswith("video/")


NAMES = [
    "100%.mp4",
    "a#b?c.mp4",
    "x[1].mp4",
    "a%20b.mp4",
    "two  blanks.mp4",
    "läuft 走る.mp4",
    "a\nb.mp4",
    "a&\"b'<c>.mp4",
]


@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"latin\xe9.mp4"), ".mp4"])
def test_any_name_is_linked_and_read_back(make, tmp_path, name):
    (path,) = write(make(path=tmp_path / "in" / name), tmp_path / "out", ["eaf"])
    (media,) = pympi.Eaf(path).media_descriptors
    for url in media["MEDIA_URL"], media["RELATIVE_MEDIA_URL"]:
        assert not set("#?[]\\") & set(url)
        assert unquote(url, errors="surrogateescape").endswith(f"/in/{name}")
        assert not re.search("%(?![0-9A-F]{2})", url)
    assert list(read_elan(path).videos) == [Path(name).stem]


def test_what_elan_leaves_as_it_is_stays(make, tmp_path):
    (path,) = write(make(path=tmp_path / "läuft so (1), + & ~.mp4"), tmp_path, ["eaf"])
    (media,) = pympi.Eaf(path).media_descriptors
    assert media["RELATIVE_MEDIA_URL"] == "./läuft so (1), + & ~.mp4"


def test_a_stream_is_not_linked(make, tmp_path):
    (path,) = write(make(path=as_source("http://localhost/clip.ts")), tmp_path, ["eaf"])
    assert pympi.Eaf(path).media_descriptors == []


def test_labels_that_xml_cannot_hold_are_cleaned(make, tmp_path):
    intervals = (Interval(1, 2, 'a<b & "c"\x00\x0b', 0.5), Interval(1, 2, "\x00", 0.5))
    (path,) = write(replace(make(), intervals=intervals, activations=()), tmp_path, ["eaf"])
    tiers = ElementTree.parse(path).findall("TIER")
    assert [tier.attrib["TIER_ID"] for tier in tiers] == ['a<b & "c"', "unnamed"]


def test_an_interval_below_a_millisecond_keeps_a_length(make, tmp_path):
    (path,) = write(replace(make(), intervals=(Interval(1.0001, 1.0002, "hugging", 0.5),)), tmp_path, ["eaf"])
    assert pympi.Eaf(path).get_annotation_data_for_tier("hugging") == [(1000, 1001, "0.500")]
