"""All that was found in many files as one file: what a reader of each format gets back."""

from __future__ import annotations

import csv
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.output.results import IMAGE_RESULTS, SEGMENT_RESULTS, VIDEO_RESULTS
from hasvideo.types import Box, ImageDetections, ImageInfo, Interval, Segmentation

HEADER = ["video", "start", "end", "label", "score"]


@pytest.fixture
def found(make):
    """Two videos, the intervals of the first by falling score, as they always are."""
    late, early = Interval(8.0, 9.3399999999999999, "=1+1", 0.75), Interval(1.5, 2.0, 'a,"b"\nc', 0.5)
    return [
        replace(make(video="b"), intervals=(late, early)),
        replace(make(video=os.fsdecode(b"a\xe9")), intervals=(Interval(0.0, 1.0, "hug", 0.25),)),
    ]


def read_csv(path: Path) -> list[list]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    return [rows[0], *([float(v) if v.replace(".", "").isdigit() else v for v in row] for row in rows[1:])]


def read_xlsx(path: Path) -> list[list]:
    from openpyxl import load_workbook

    return [list(row) for sheet in load_workbook(path) for row in sheet.iter_rows(values_only=True)]


def read_parquet(path: Path) -> list[list]:
    from pyarrow import parquet

    table = parquet.read_table(path)
    return [table.column_names, *(list(row.values()) for row in table.to_pylist())]


READERS = {"csv": read_csv, "xlsx": read_xlsx, "parquet": read_parquet}


@pytest.mark.parametrize(("suffix", "label", "name"), [
    ("csv", 'a,"b"\nc', "a\\udce9"), ("parquet", 'a,"b"\nc', "a\\udce9"), ("xlsx", 'a,"b" c', "a?"),
])  # fmt: skip
def test_a_table_has_every_interval_in_order_of_time(found, tmp_path, suffix, label, name):
    path = tmp_path / f"all.{suffix.upper()}"
    VIDEO_RESULTS.write(found, path)
    assert READERS[suffix](path) == [
        HEADER, ["b", 1.5, 2.0, label, 0.5], ["b", 8.0, 9.34, "=1+1", 0.75], [name, 0.0, 1.0, "hug", 0.25],
    ]  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", READERS)
def test_a_table_of_nothing_has_its_columns(make, tmp_path, suffix):
    VIDEO_RESULTS.write([replace(make(), intervals=())], tmp_path / f"all.{suffix}")
    assert READERS[suffix](tmp_path / f"all.{suffix}") == [HEADER]


def test_more_rows_than_a_sheet_holds_go_on_in_the_next(found, tmp_path, monkeypatch):
    monkeypatch.setattr("hasvideo.output.results._SHEET", 2)
    VIDEO_RESULTS.write(found, tmp_path / "all.xlsx")
    rows = read_xlsx(tmp_path / "all.xlsx")
    assert [row[0] for row in rows] == ["video", "b", "b", "video", "a?"]


@pytest.mark.parametrize("suffix", READERS)
def test_tables_of_images_and_segments(tmp_path, suffix):
    info = ImageInfo(Path("x.png"), 4, 2)
    boxes = ImageDetections("x", info, (Box(0, 1, 3.5, 2, "fish", 0.75),))
    segments = Segmentation("x", info, ("ground", "fish"), np.array([[0, 0, 0, 1]], np.uint8))
    IMAGE_RESULTS.write([boxes], tmp_path / f"boxes.{suffix}")
    SEGMENT_RESULTS.write([segments], tmp_path / f"segments.{suffix}")
    assert READERS[suffix](tmp_path / f"boxes.{suffix}")[1:] == [["x", "fish", 0, 1, 3.5, 2, 0.75]]
    assert READERS[suffix](tmp_path / f"segments.{suffix}") == [
        ["image", "label", "share"], ["x", "ground", 0.75], ["x", "fish", 0.25],
    ]  # fmt: skip


def test_json_stays_what_it_was(found, tmp_path):
    VIDEO_RESULTS.write(found, tmp_path / "all.json")
    assert list(json.loads((tmp_path / "all.json").read_text())["results"]) == ["b", "a\udce9"]
    boxes = ImageDetections("x", ImageInfo(Path("x.png"), 4, 2), (Box(0, 1, 3, 2, "fish", 0.75),))
    IMAGE_RESULTS.write([boxes], tmp_path / "all.coco.json", ["cat", "fish"])
    assert json.loads((tmp_path / "all.coco.json").read_text())[0]["category_id"] == 2


@pytest.mark.parametrize("name", ["all.tsv", "all", ".json", "all.json.gz", "all.xls", "all.coco.json"])
def test_other_suffixes_are_refused_with_those_that_are_known(name):
    with pytest.raises(UsageError, match=r"accepted: \.json, \.csv, \.parquet, \.xlsx"):
        VIDEO_RESULTS.check(Path(name))


def test_what_is_known_passes(tmp_path):
    for name in ("all.json", "all.CSV", "all.parquet", "all.xlsx"):
        for kind in (VIDEO_RESULTS, IMAGE_RESULTS, SEGMENT_RESULTS):
            kind.check(tmp_path / name)
    IMAGE_RESULTS.check(tmp_path / "all.COCO.json")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        VIDEO_RESULTS.check(tmp_path / "folder.csv")


@pytest.mark.parametrize(("name", "package"), [("all.parquet", "pyarrow"), ("all.xlsx", "openpyxl")])
def test_a_missing_package_is_named_with_the_extra_that_has_it(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"{package}: pip install 'hasvideo\[tables\]'"):
        VIDEO_RESULTS.check(Path(name))


@pytest.mark.parametrize("suffix", ["json", *READERS])
def test_a_file_that_cannot_be_written_leaves_nothing(found, tmp_path, suffix):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HasvideoError, match="cannot write"):
        VIDEO_RESULTS.write(found, tmp_path / "file" / f"all.{suffix}")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
