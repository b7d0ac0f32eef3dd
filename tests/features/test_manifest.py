"""The manifest: what is in it after crashes, and with many writers."""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor

import pytest

from hasvideo.errors import HasvideoError
from hasvideo.features.manifest import Manifest, Record


def record(number, error=""):
    return Record(f"v{number}", f"/videos/v{number}.mp4", 10, (3, 4), "float16", "ab", "colour", 1.5, 0.1, error)


def test_records_are_read_back_and_the_last_of_a_video_counts(tmp_path):
    manifest = Manifest(tmp_path)
    assert manifest.records() == {}
    manifest.add(record(1))
    manifest.add(record(2))
    manifest.add(record(1, "broken"))
    assert Manifest(tmp_path).records() == {"v1": record(1, "broken"), "v2": record(2)}
    assert len((tmp_path / "manifest.jsonl").read_text().splitlines()) == 3


def test_what_others_add_is_seen_without_reading_all_again(tmp_path):
    ours, theirs = Manifest(tmp_path), Manifest(tmp_path)
    theirs.add(record(1))
    assert set(ours.records()) == {"v1"}
    theirs.add(record(2))
    assert set(ours.records()) == {"v1", "v2"}


@pytest.mark.parametrize("rest", [b'{"id": "v1", "pa', b'"text"\n', b'{"id": "v1", "unknown": 1}\n', b"\xff\n"])
def test_a_line_that_was_cut_off_or_is_none_spoils_no_other(tmp_path, rest):
    Manifest(tmp_path).add(record(0))
    with (tmp_path / "manifest.jsonl").open("ab") as file:
        file.write(rest)
    manifest = Manifest(tmp_path)
    assert set(manifest.records()) == {"v0"}
    manifest.add(record(2))
    assert set(manifest.records()) == {"v0", "v2"}
    assert set(Manifest(tmp_path).records()) == {"v0", "v2"}


def test_many_writers_at_once_lose_nothing(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: Manifest(tmp_path).add(record(i, "bad" if i % 2 else "")), range(24)))
    assert set(Manifest(tmp_path).records()) == {f"v{i}" for i in range(24)}
    with (tmp_path / "failed.csv").open() as file:
        assert sorted(row["video"] for row in csv.DictReader(file)) == sorted(f"v{i}" for i in range(1, 24, 2))


def test_failures_are_listed_until_they_are_mended(tmp_path):
    manifest = Manifest(tmp_path)
    manifest.add(record(1, 'broken, "badly"'))
    with (tmp_path / "failed.csv").open() as file:
        assert list(csv.reader(file)) == [
            ["video", "path", "reason"],
            ["v1", "/videos/v1.mp4", 'broken, "badly"'],
        ]
    manifest.add(record(1))
    assert not (tmp_path / "failed.csv").exists()


def test_a_manifest_that_cannot_be_read_or_written_is_an_error_of_ours(tmp_path):
    (tmp_path / "manifest.jsonl").mkdir()
    for act in (Manifest(tmp_path).records, lambda: Manifest(tmp_path).add(record(1))):
        with pytest.raises(HasvideoError, match=r"cannot (read|write) .*manifest\.jsonl"):
            act()
