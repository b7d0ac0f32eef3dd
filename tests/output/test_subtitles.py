from __future__ import annotations

import re
from dataclasses import replace

import av
import pysubs2
import pytest

from hasvideo.output.writers import write
from hasvideo.types import Interval


@pytest.fixture
def written(make, tmp_path):
    """Writes intervals in a format and returns the text."""

    def text(format_, *intervals, **options):
        (path,) = write(replace(make(**options), intervals=intervals), tmp_path, [format_])
        return path.read_text(encoding="utf-8")

    return text


def test_srt(written):
    assert written("srt", Interval(3661.5, 3662.0, "hug", 0.754)) == ("1\n01:01:01,500 --> 01:01:02,000\nhug 0.75\n\n")


def test_srt_puts_simultaneous_actions_into_one_cue(written):
    cues = written("srt", Interval(1, 4, "hug", 0.5), Interval(2, 3, "kick", 0.25), Interval(4, 5, "hug", 0.75))
    assert [tuple(c.splitlines()[1:]) for c in cues.strip().split("\n\n")] == [
        ("00:00:01,000 --> 00:00:02,000", "hug 0.50"),
        ("00:00:02,000 --> 00:00:03,000", "hug 0.50", "kick 0.25"),
        ("00:00:03,000 --> 00:00:04,000", "hug 0.50"),
        ("00:00:04,000 --> 00:00:05,000", "hug 0.75"),
    ]


def test_srt_has_no_cue_where_nothing_happens(written):
    cues = written("srt", Interval(1, 2, "hug", 0.5), Interval(3, 4, "kick", 0.25))
    assert re.findall(r"\d\d,000 --> .*", cues) == ["01,000 --> 00:00:02,000", "03,000 --> 00:00:04,000"]


def test_vtt_has_a_cue_an_interval(written):
    text = written("vtt", Interval(2, 3, "kick", 0.25), Interval(1, 4, "hug", 0.5))
    assert text.startswith("WEBVTT\n\n")
    assert re.findall(r"(\S+) --> (\S+)\n(.*)", text) == [
        ("00:00:01.000", "00:00:04.000", "hug 0.50"),
        ("00:00:02.000", "00:00:03.000", "kick 0.25"),
    ]


def test_ass_has_an_event_an_interval_and_a_style_a_class(written):
    text = written("ass", Interval(2, 3, "side kick", 0.25), Interval(1, 4, "hugging", 0.5))
    subtitles = pysubs2.SSAFile.from_string(text)
    assert [(e.start, e.end, e.plaintext, e.style) for e in subtitles] == [
        (1000, 4000, "hugging 0.50", "class1"),
        (2000, 3000, "side kick 0.25", "class2"),
    ]
    colors = [subtitles.styles[name].primarycolor for name in ("class1", "class2")]
    assert colors == [pysubs2.Color(0, 0x72, 0xB2), pysubs2.Color(0xD5, 0x5E, 0)]
    assert subtitles.info["PlayResY"] == "240"


@pytest.mark.parametrize("hours", [9, 10, 99, 100, 123, 1000])
@pytest.mark.parametrize("format_", ["srt", "vtt", "ass"])
def test_players_read_any_hour_right(written, tmp_path, format_, hours):
    start = hours * 3600 + 59 * 60 + 59.99
    written(format_, Interval(start, start + 1.5, "hug", 0.5))
    with av.open(str(tmp_path / f"clip.{format_}")) as file:
        (packet,) = (p for p in file.demux() if p.size)
        times = [float(t * packet.time_base) for t in (packet.pts, packet.duration)]
    assert times == pytest.approx([start, 1.5], abs=1e-3)


MARKUP = r"{\b1}<i>a</i> & b\N --> c"


def test_vtt_labels_are_escaped_by_character_references(written):
    text = written("vtt", Interval(1, 2, MARKUP, 0.5))
    assert text.splitlines()[4] == r"{&#92;b1}&lt;i&gt;a&lt;/i&gt; &amp; b&#92;N --&gt; c 0.50"


@pytest.mark.parametrize("format_", ["srt", "ass"])
def test_srt_and_ass_labels_keep_what_looks_like_markup_as_full_width_forms(written, format_):
    import unicodedata

    (event,) = pysubs2.SSAFile.from_string(written(format_, Interval(1, 2, MARKUP, 0.5)))
    assert not set(r"{}\<>") & set(event.text)
    assert unicodedata.normalize("NFKC", event.plaintext) == f"{MARKUP} 0.50"


@pytest.mark.parametrize("format_", ["srt", "vtt", "ass"])
def test_a_label_cannot_break_out_of_its_cue(written, format_):
    label = "a\n\n2\n00:00:09,000 --> 00:00:10,000\r\nfake"
    lines = written(format_, Interval(1, 2, label, 0.5)).strip().splitlines()
    assert len([line for line in lines if "-->" in line or line.startswith("Dialogue:")]) == 1
    assert [line for line in lines if "fake" in line] == [lines[-1]]


@pytest.mark.parametrize("format_", ["srt", "vtt", "ass"])
def test_an_interval_shorter_than_a_millisecond_still_shows(written, format_):
    (event,) = pysubs2.SSAFile.from_string(written(format_, Interval(1.0001, 1.0002, "blink", 0.5)))
    assert event.plaintext == "blink 0.50"


def test_an_event_of_a_sliver_has_a_length(written):
    (event,) = pysubs2.SSAFile.from_string(written("ass", Interval(0.204, 0.2041, "blink", 0.5)))
    assert event.duration == 10


def test_browsers_show_vtt_as_meant(written, make, browser, clip, tmp_path):
    """Chromium's own WebVTT parser, with the cues in a track of a page."""
    import base64

    text = written("vtt", Interval(1, 4, MARKUP, 0.5), Interval(2, 3, "kick", 0.25))
    data = base64.b64encode(text.encode()).decode()
    (tmp_path / "track.html").write_text(
        f"<video><track default src='data:text/vtt;base64,{data}'></video>", encoding="utf-8"
    )
    browser.get((tmp_path / "track.html").as_uri())
    script = (
        "const done = arguments[0], track = document.querySelector('track'); track.track.mode = 'showing';"
        "const read = () => done([...track.track.cues].map((c) => [c.startTime, c.getCueAsHTML().textContent]));"
        "track.readyState === 2 ? read() : track.addEventListener('load', read)"
    )
    assert browser.execute_async_script(script) == [[1, f"{MARKUP} 0.50"], [2, "kick 0.25"]]
