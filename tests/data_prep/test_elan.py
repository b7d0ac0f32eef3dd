"""ELAN files, those of our own writer among them."""

from __future__ import annotations

import pytest

from data_prep.elan import read_elan
from hasvideo.datasets.annotations import AnnotatedVideo, Annotations, Instance
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
    (tmp_path / "y.eaf").write_text("<html/>")
    with pytest.raises(HasvideoError, match=r"y.eaf is not an ELAN file: it is an XML file of <html>"):
        read_elan(tmp_path / "y.eaf")
    write_eaf(tmp_path / "z.eaf", [2000, 1000], {"t": [("a", 0, 1)]})
    with pytest.raises(HasvideoError, match=r"z.eaf: tier 't', annotation a: segment \[2, 1\] is reversed"):
        read_elan(tmp_path / "z.eaf")
    with pytest.raises(HasvideoError, match=r"cannot read .*none.eaf"):
        read_elan(tmp_path / "none.eaf")


def times(annotations: Annotations, name: str = "clip") -> list[tuple[str, float, float]]:
    return [(i.label, i.start, i.end) for i in annotations.videos[name].instances]


def test_elan_times_are_the_videos_own(shared_data):
    """TIME_ORIGIN is where in the linked file ELAN's time 0 is: that much of its beginning comes before."""
    assert times(read_elan(shared_data / "faults" / "origin.eaf")) == [("wave", 3.0, 5.0)]


def test_elan_labels_on_dependent_tiers(shared_data):
    read = read_elan(shared_data / "faults" / "dep.eaf", labels="value", tiers=["action"])
    assert times(read) == [("wave", 1.0, 3.0), ("clap", 5.0, 6.0)]


def test_elan_annotations_without_length(shared_data):
    with pytest.warns(UserWarning, match=r"zero.eaf: left out 1 instances without length, such as wave at 1 s of clip"):
        assert times(read_elan(shared_data / "faults" / "zero.eaf")) == [("wave", 2.0, 3.0)]


def write_eaf(
    path, slots, tiers, media='<MEDIA_DESCRIPTOR MEDIA_URL="file:///v/clip.mp4" MIME_TYPE="video/mp4"/>', head=""
):
    """Slots: times in order, None without; tiers: rows (id, first slot, last) or (id, parent's id[, previous id])."""
    lines = [f'<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds" {head}>{media}</HEADER><TIME_ORDER>']
    values = ("" if time is None else f'TIME_VALUE="{time}"' for time in slots)
    lines += [f'<TIME_SLOT TIME_SLOT_ID="t{n}" {value}/>' for n, value in enumerate(values)]
    lines.append("</TIME_ORDER>")
    for tier, rows in tiers.items():
        lines.append(f'<TIER TIER_ID="{tier}">')
        for name, *rest in rows:
            if isinstance(rest[0], int):
                slot = f'TIME_SLOT_REF1="t{rest[0]}" TIME_SLOT_REF2="t{rest[1]}"'
                of = f'<ALIGNABLE_ANNOTATION ANNOTATION_ID="{name}" {slot}>'
            else:
                previous = f'PREVIOUS_ANNOTATION="{rest[1]}"' if rest[1:] else ""
                of = f'<REF_ANNOTATION ANNOTATION_ID="{name}" ANNOTATION_REF="{rest[0]}" {previous}>'
            end = of.split()[0].replace("<", "</")
            lines.append(f"<ANNOTATION>{of}<ANNOTATION_VALUE>{name}</ANNOTATION_VALUE>{end}></ANNOTATION>")
        lines.append("</TIER>")
    path.write_text("\n".join([*lines, "</ANNOTATION_DOCUMENT>"]))
    return path


def test_elan_dependents_of_dependents_and_divided_ones_in_any_order(tmp_path):
    tiers = {
        "third": [("e", "c"), ("f", "d")],
        "halves": [("d", "a", "c"), ("c", "a")],
        "whole": [("b", "a")],
        "top": [("a", 0, 1)],
    }
    read = read_elan(write_eaf(tmp_path / "x.eaf", [1000, 3000], tiers), labels="value")
    assert times(read) == [("c", 1, 2), ("e", 1, 2), ("a", 1, 3), ("b", 1, 3), ("d", 2, 3), ("f", 2, 3)]


def test_elan_slots_without_time_lie_between_their_neighbours_on_the_tier(tmp_path):
    """Slots 1 and 3 divide a; the two between belong to another tier, whose times must not disturb them."""
    slots = [0, None, 500, None, 800, 3000]
    tiers = {"a": [("a", 0, 5)], "parts": [("p", 0, 1), ("q", 1, 3), ("r", 3, 5)], "other": [("o", 2, 4)]}
    read = read_elan(write_eaf(tmp_path / "x.eaf", slots, tiers), labels="value", tiers=["parts"])
    assert times(read) == [("p", 0, 1), ("q", 1, 2), ("r", 2, 3)]
    alone = {"a": [("a", 0, 3)], "inside": [("i", 1, 2)]}
    read = read_elan(write_eaf(tmp_path / "x.eaf", [0, None, None, 3000], alone), labels="value", tiers=["inside"])
    assert times(read) == [("i", 1, 2)]


def test_elan_what_cannot_be_placed_is_counted(tmp_path):
    tiers = {"a": [("a", 0, 1), ("b", 1, 2)], "of b": [("c", "b"), ("d", "c"), ("e", "lost")], "ring": [("f", "f")]}
    with pytest.warns(UserWarning, match="x.eaf: left out 5 annotations whose time cannot be told"):
        read = read_elan(write_eaf(tmp_path / "x.eaf", [1000, 2000, None], tiers), labels="value")
    assert times(read) == [("a", 1, 2)]


def test_elan_annotations_before_the_video_and_without_text(tmp_path):
    media = '<MEDIA_DESCRIPTOR MEDIA_URL="clip.mp4" MIME_TYPE="video/mp4" TIME_ORIGIN="-1500"/>'
    path = write_eaf(tmp_path / "x.eaf", [0, 1000, 2000], {"t": [("a", 0, 1), ("b", 1, 2), ("", 1, 2)]}, media)
    with pytest.warns(UserWarning, match="left out 1") as said:
        assert times(read_elan(path, labels="value")) == [("b", 0, 0.5)]
    assert sorted(str(w.message).partition("left out ")[2] for w in said) == [
        "1 annotations that lie before the video begins",
        "1 annotations without a text to name their class (or take the tiers: --labels tier)",
    ]


SOUND = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///v/mic.wav" MIME_TYPE="audio/x-wav" TIME_ORIGIN="9000"/>'


@pytest.mark.parametrize(("media", "name", "start", "said"), [
    (SOUND + '<MEDIA_DESCRIPTOR MEDIA_URL="C:\\v\\a b.MPG" MIME_TYPE="video/mpeg" TIME_ORIGIN="500"/>', "a b", 1.5, ""),
    (SOUND + '<MEDIA_DESCRIPTOR MEDIA_URL="cam.mp4" MIME_TYPE="unknown"/>', "cam", 1, ""),
    (SOUND, "mic", 10, "links no video, only sound"),
    ('<MEDIA_DESCRIPTOR MEDIA_URL="a.mp4" MIME_TYPE="video/mp4"/>'
     '<MEDIA_DESCRIPTOR MEDIA_URL="b.mp4" MIME_TYPE="video/mp4" TIME_ORIGIN="700"/>', "a", 1, "links 2 videos"),
    ('<MEDIA_DESCRIPTOR MEDIA_URL="file:///v/50%25%20%23a.mp4" RELATIVE_MEDIA_URL="./50% #a.mp4"/>', "50% #a", 1, ""),
    ('<MEDIA_DESCRIPTOR MEDIA_URL="file:///v/a%20b.mp4" RELATIVE_MEDIA_URL="./a%20b.mp4"/>', "a b", 1, ""),
    ("", "x", 1, ""),
])  # fmt: skip
def test_elan_which_linked_file_is_the_video(tmp_path, recwarn, media, name, start, said):
    read = read_elan(write_eaf(tmp_path / "x.eaf", [1000, 2000], {"t": [("a", 0, 1)]}, media))
    assert times(read, name) == [("t", start, start + 1)]
    assert said in "".join(str(w.message) for w in recwarn)
    assert len(recwarn) == bool(said)


def test_elan_old_files_name_the_video_in_the_header(tmp_path):
    path = write_eaf(tmp_path / "x.eaf", [1000, 2000], {"t": [("a", 0, 1)]}, "", 'MEDIA_FILE="v/old.mpg"')
    assert list(read_elan(path).videos) == ["old"]
