"""ELAN files, those of our own writer among them."""

from __future__ import annotations

import pytest

from data_prep.elan import read_elan
from hasvideo.datasets.annotations import (
    AnnotatedVideo,
    Annotations,
    Instance,
)
from hasvideo.errors import HasvideoError
from hasvideo.output.base import WriteOptions
from hasvideo.output.elan import ElanWriter


def test_elan_there_and_back(official, tmp_path, instances, as_detections):
    """Through the writer of ``localize -f eaf``; times of THUMOS14 are whole tenths, so milliseconds are exact."""
    some = dict(list(official.videos.items())[::20])
    for name, video in some.items():
        path = tmp_path / f"{name}.eaf"
        ElanWriter().write(as_detections(name, video, tmp_path), [path], WriteOptions())
        read = read_elan(path, video.subset)
        assert instances(read, ambiguous=True) == instances(Annotations({name: video}), ambiguous=True)


def test_elan_labels_from_text_and_named_tiers(tmp_path):
    from pympi import Eaf

    eaf = Eaf()
    eaf.add_tier("actions")
    eaf.add_tier("speech")
    eaf.add_annotation("actions", 1000, 2500, "jump")
    eaf.add_annotation("speech", 0, 100, "hello")
    eaf.to_file(str(tmp_path / "clip.eaf"))
    read = read_elan(tmp_path / "clip.eaf", labels="value", tiers=["actions"])
    assert read.videos == {"clip": AnnotatedVideo("test", (Instance("jump", 1.0, 2.5),))}
    assert {i.label for i in read_elan(tmp_path / "clip.eaf").videos["clip"].instances} == {"actions", "speech"}
    with pytest.raises(HasvideoError, match=r"has no tier 'act'; it has: default, actions, speech"):
        read_elan(tmp_path / "clip.eaf", tiers=["act"])


def test_wrong_elan_files(tmp_path):
    (tmp_path / "x.eaf").write_text("not XML")
    with pytest.raises(HasvideoError, match=r"x.eaf is not an ELAN file"):
        read_elan(tmp_path / "x.eaf")
    with pytest.raises(HasvideoError, match=r"cannot read .*none.eaf"):
        read_elan(tmp_path / "none.eaf")
