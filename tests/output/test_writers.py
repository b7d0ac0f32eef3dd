from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.output.writers import FORMATS, output_paths, resolve_formats, write


def test_all_stands_for_every_format():
    assert resolve_formats(["all"]) == list(FORMATS)
    assert {"json", "csv", "srt", "vtt", "ass", "eaf", "labelstudio", "png", "svg", "pdf", "html"} <= set(FORMATS)


def test_formats_come_once_in_the_order_asked_for():
    assert resolve_formats(["HTML", "json,csv", "json"]) == ["html", "json", "csv"]
    assert resolve_formats(["csv", "all"]) == ["csv", *(name for name in FORMATS if name != "csv")]


@pytest.mark.parametrize(
    ("name", "hint"), [("jsn", "did you mean json?"), ("htlm", "did you mean html?"), ("ELAN", "accepted: json, ")]
)
def test_an_unknown_format_is_named_with_what_is_accepted(name, hint):
    with pytest.raises(UsageError) as caught:
        resolve_formats(["json", name])
    assert name.lower() in str(caught.value)
    assert hint in str(caught.value)
    assert f"{', '.join(FORMATS)}, all" in str(caught.value)


def test_the_example_of_contributing_is_a_format_and_its_test_passes(make, tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    names: dict = {}
    for block in re.findall(r"^  ```python\n(.*?)^  ```", text, re.DOTALL | re.MULTILINE)[:2]:
        exec(dedent(block), names)
    monkeypatch.setitem(FORMATS, "txt", names["TextWriter"]())
    names["test_a_line_an_interval"](make, tmp_path)


@pytest.mark.parametrize("name", ["xyz", "clips", "mp4"])
def test_of_a_format_that_is_no_slip_the_known_ones_are_listed(name):
    with pytest.raises(UsageError) as caught:
        resolve_formats([name])
    assert str(caught.value) == f"unknown output format {name!r}; accepted: {', '.join(FORMATS)}, all"


def test_no_format_at_all_is_refused():
    with pytest.raises(UsageError, match="no output format"):
        resolve_formats([" , "])


def test_write_makes_exactly_the_announced_files(make, tmp_path):
    folder = tmp_path / "new" / "folder"
    written = write(make(), folder, ["all"])
    assert written == output_paths("clip", folder, ["all"])
    assert sorted(folder.iterdir()) == sorted(written)
    assert {p.name for p in written} >= {
        "clip.json", "clip.csv", "clip.srt", "clip.vtt", "clip.ass", "clip.eaf",
        "clip.labelstudio.json", "clip.labelstudio.xml", "clip.png", "clip.svg", "clip.pdf", "clip.html",
    }  # fmt: skip


def test_the_same_result_gives_the_same_bytes(make, tmp_path):
    formats = [name for name in FORMATS if name != "eaf"]  # ELAN files carry the date
    first, second = write(make(), tmp_path / "a", formats), write(make(), tmp_path / "a", formats[::-1])
    before = {p: p.read_bytes() for p in first}
    write(make(), tmp_path / "a", formats)
    assert {p: p.read_bytes() for p in second} == before


@pytest.mark.parametrize("video", ["a b", 'it\'s "quoted"', "😀 läuft", "-x", "clip.part1", os.fsdecode(b"latin\xe91")])
def test_any_video_name_makes_files_named_after_it(make, tmp_path, video):
    written = write(make(video=video, path=tmp_path / f"{video}.mp4"), tmp_path, ["all"])
    assert [p.name for p in written] == [video + s for f in FORMATS.values() for s in f.suffixes]
    assert all(p.stat().st_size > 0 for p in written)


@pytest.mark.parametrize("video", ["../clip", "a/b", "", ".", ".."])
def test_a_video_id_cannot_lead_out_of_the_folder(make, tmp_path, video):
    with pytest.raises(HasvideoError, match="cannot name an output file"):
        write(make(video=video), tmp_path / "out", ["json"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format_", FORMATS)
def test_a_video_without_anything_found_is_written_too(make, tmp_path, format_):
    nothing = replace(make(), intervals=(), activations=())
    for path in write(nothing, tmp_path, [format_]):
        assert path.is_file()


@pytest.mark.parametrize("format_", FORMATS)
def test_an_unwritable_folder_fails_in_one_line_and_leaves_nothing(make, tmp_path, format_):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HasvideoError, match=r"cannot write .*clip") as caught:
        write(make(), tmp_path / "file", [format_])
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_overlong_name_is_a_clear_error(make, tmp_path):
    with pytest.raises(HasvideoError, match="cannot write"):
        write(make(video="x" * 254), tmp_path, ["json"])
    assert list(tmp_path.iterdir()) == []


def test_a_failed_rewrite_leaves_the_old_file(make, tmp_path, monkeypatch):
    (path,) = write(make(), tmp_path, ["csv"])
    before = path.read_bytes()
    monkeypatch.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(HasvideoError, match="No space left on device"):
        write(replace(make(), intervals=()), tmp_path, ["csv"])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["clip.csv"]
