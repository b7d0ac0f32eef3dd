"""Filling a feature folder: what is kept, what is made anew, and what a killed process leaves behind."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock

from hasvideo.errors import DecodeError, HasvideoError, UsageError
from hasvideo.features import extract_one
from hasvideo.features.fill import fill
from hasvideo.features.make import Extraction
from hasvideo.features.manifest import Manifest
from hasvideo.features.store import FeatureMeta, FeatureStore
from tests.colours import RGB, ColourExtractor

COLOUR = Extraction("tests.colours:ColourExtractor", dtype="float32")
FRAGILE = Extraction("tests.features.fragile:FragileExtractor")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cheap_videos(monkeypatch):
    """A video is a text file with a colour's name, shown for a second; so nothing has to be decoded."""

    def extract(path, extractor, decoder):
        colour = path.read_text()
        if colour not in RGB:
            raise DecodeError(f"{path}: is no video")
        array = np.concatenate(list(extractor([np.full((10, 32, 32, 3), RGB[colour], np.uint8)])))
        return SimpleNamespace(array=array, start=0.0, end=1.0)

    monkeypatch.setattr(extract_one, "extract_features", extract)


def video(path, colour):
    path.write_text(colour)
    return path


@pytest.fixture
def videos(tmp_path):
    return {name: video(tmp_path / f"{name}.mp4", name) for name in ("black", "green", "red")}


def filled(tmp_path, videos, **options):
    return fill(tmp_path / "f", videos, COLOUR, progress=False, **options)


def test_features_and_manifest_of_a_folder(videos, tmp_path):
    found = filled(tmp_path, videos)
    assert (len(found.made), found.kept, found.failed) == (3, 0, {})
    store = FeatureStore(tmp_path / "f")
    assert store.videos() == ["black", "green", "red"]
    assert store.load("red").argmax(axis=1).tolist() == [0, 0]
    assert store.meta.dtype == "float32"
    record = Manifest(tmp_path / "f").records()["red"]
    assert (record.path, record.shape, record.dtype, record.extractor, record.seconds) == (
        str(videos["red"]), (2, 3), "float32", "colour", 1.0,
    )  # fmt: skip
    assert record.sha256 == hashlib.sha256(store.path("red").read_bytes()).hexdigest()


def test_a_second_run_loads_no_extractor_and_touches_nothing(videos, tmp_path, monkeypatch):
    filled(tmp_path, videos)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "f").iterdir()}
    how = Extraction("colour", dtype="float32")  # no such extractor: it cannot be loaded
    again = fill(tmp_path / "f", videos, how, verify=True, progress=False)
    assert (again.made, again.kept) == ((), 3)
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "f").iterdir()} == before


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-4])


def _reshape(path):
    np.save(path, np.zeros((3, 3), np.float32))


def _flip(path):
    path.write_bytes(path.read_bytes()[:-1] + b"\x11")


@pytest.mark.parametrize(("damage", "verify", "message"), [
    (_truncate, False, "not a readable"), (_reshape, False, r"holds float32 \(3, 3\)"), (_flip, True, "another hash"),
])  # fmt: skip
def test_damaged_features_are_made_anew(videos, tmp_path, damage, verify, message):
    filled(tmp_path, videos)
    path = FeatureStore(tmp_path / "f").path("red")
    good = path.read_bytes()
    damage(path)
    with pytest.warns(UserWarning, match=f"made anew.*{message}"):
        again = filled(tmp_path, videos, verify=verify)
    assert [r.id for r in again.made] == ["red"]
    assert path.read_bytes() == good


def test_a_flipped_bit_is_for_verify_to_find(videos, tmp_path):
    filled(tmp_path, videos)
    _flip(FeatureStore(tmp_path / "f").path("red"))
    assert filled(tmp_path, videos).made == ()


def test_deleted_features_and_changed_videos_are_made_anew(tmp_path):
    videos = {name: video(tmp_path / f"{name}.mp4", name) for name in ("red", "green")}
    filled(tmp_path, videos)
    FeatureStore(tmp_path / "f").path("red").unlink()
    video(videos["green"], "blue")
    with pytest.warns(UserWarning, match=r"green\.mp4 changed after"):
        again = filled(tmp_path, videos)
    assert sorted(r.id for r in again.made) == ["green", "red"]
    assert again.store.load("green").argmax(axis=1).tolist() == [2, 2]


def test_ready_made_features_of_an_unknown_extractor_may_be_as_old_as_they_like(videos, tmp_path):
    store = FeatureStore.create(tmp_path / "f", FeatureMeta("other", "", ColourExtractor.grid, 3))
    for name in ("red", "green"):
        store.save(name, np.eye(3))
        os.utime(store.path(name), (0, 0))
    found = filled(tmp_path, {"red": videos["red"], "green": None}, ready_made=True)
    assert (found.made, found.kept, found.store.meta.dtype) == ((), 2, "float16")
    with pytest.raises(UsageError, match="f has no features of black: give the videos too"):
        filled(tmp_path, {"red": videos["red"], "black": None}, ready_made=True)
    with pytest.raises(HasvideoError, match="holds other features"):
        filled(tmp_path, videos, ready_made=True)


def test_ready_made_features_of_a_known_extractor_are_made_anew_for_a_video_that_changed(videos, tmp_path):
    store = filled(tmp_path, videos).store
    (tmp_path / "f" / "manifest.jsonl").unlink()
    video(videos["red"], "blue")
    os.utime(store.path("red"), (0, 0))
    again = filled(tmp_path, videos, ready_made=True)
    assert ([r.id for r in again.made], again.kept) == (["red"], 2)
    assert again.store.load("red").argmax(axis=1).tolist() == [2, 2]
    assert len(filled(tmp_path, videos).made) == 2  # without the word, none that the manifest does not know


def test_failing_videos_are_listed_and_the_rest_goes_on(videos, tmp_path):
    broken = video(tmp_path / "broken.mp4", "no video")
    found = fill(tmp_path / "f", {"a": broken, **videos}, FRAGILE, progress=False)
    assert set(found.failed) == {"a", "green"}
    assert found.failed["green"].endswith("fragile failed (ValueError: green is too much)")
    assert found.store.videos() == ["black", "red"]
    assert [line.split(",")[0] for line in (tmp_path / "f" / "failed.csv").read_text().splitlines()] == [
        "video", "a", "green",
    ]  # fmt: skip
    again = fill(tmp_path / "f", {"a": broken, **videos}, FRAGILE, progress=False)
    assert (again.made, again.kept, set(again.failed)) == ((), 2, {"a", "green"})


def test_a_full_disk_stops_and_keeps_what_is_finished(videos, tmp_path, monkeypatch):
    begin, begun = np.lib.format.write_array_header_1_0, []

    def full(file, header):
        if begun:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        begun.append(begin(file, header))

    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array_header_1_0", full)
        with pytest.raises(HasvideoError, match=r"cannot write .*green\.npy: No space left on device"):
            filled(tmp_path, videos)
    assert FeatureStore(tmp_path / "f").videos() == ["black"]
    assert (len(filled(tmp_path, videos).made), filled(tmp_path, videos).kept) == (2, 3)


@pytest.mark.parametrize(("how", "options", "message"), [
    (Extraction("colour"), {}, "unknown extractor 'colour'"),
    (Extraction("tests.colours:Nothing"), {}, "cannot be loaded.*Nothing"),
    (Extraction("no.such:Thing"), {}, "cannot be loaded: No module named 'no'"),
    (Extraction("i3d", weights=Path("x")), {}, "not for i3d"),
    (Extraction(dtype="float64"), {}, "float64.*accepted: float16, float32"),
    (Extraction(decoder="vlc"), {}, "unknown decoder 'vlc'"),
    (COLOUR, {"workers": 0}, "workers must be at least 1, got 0"),
])  # fmt: skip
def test_wrong_requests(videos, tmp_path, how, options, message):
    with pytest.raises(UsageError, match=message):
        fill(tmp_path / "f", videos, how, progress=False, **options)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("how", [FRAGILE, Extraction("tests.colours:ColourExtractor")])
def test_features_of_another_kind_are_not_mixed(videos, tmp_path, how):
    filled(tmp_path, videos)
    with pytest.raises(HasvideoError, match="holds other features"):
        fill(tmp_path / "f", videos, how, progress=False)


def test_old_leftovers_of_killed_processes_go_and_young_ones_stay(videos, tmp_path):
    (tmp_path / "f").mkdir()
    for name, age in (("old", 4000), ("young", 60)):
        path = tmp_path / "f" / f".tmp-{name}.npy"
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    filled(tmp_path, videos)
    assert [p.name for p in (tmp_path / "f").glob(".tmp-*")] == [".tmp-young.npy"]


FAKE = """
import sys, time
import numpy as np
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from hasvideo.types import TimeGrid
from hasvideo.features import extract_one, fill, make

class Fake:
    name, weights_sha256, grid, dim, size = "fake", "ab", TimeGrid(10, 5, 5), 3, 32
    def __init__(self, *_): pass

def fake(path, extractor, decoder):
    time.sleep(0.004)
    array = np.random.default_rng(int(path.stem)).random((2000, 3), np.float32)
    return SimpleNamespace(array=array, start=0.0, end=1.0)

extract_one.extract_features = fake
folder = Path(sys.argv[1])
videos = {path.stem: path for path in sorted((folder / "videos").iterdir())}
print("ready", flush=True)
found = fill.fill(folder / sys.argv[2], videos, make.Extraction("__main__:Fake"), progress=False)
print(len(found.made), found.kept, len(found.failed))
"""


def start(tmp_path, output):
    """A process that makes features of 40 videos that are not decoded, once it is past its imports."""
    process = subprocess.Popen(
        [sys.executable, "-c", FAKE, str(tmp_path), output], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def many(tmp_path):
    (tmp_path / "videos").mkdir()
    for number in range(40):
        (tmp_path / "videos" / str(number)).touch()
    return tmp_path


def arrays(folder):
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*.npy")}


def test_killed_at_any_moment_no_more_is_lost_than_the_video_in_work(many):
    start(many, "undisturbed").communicate()
    rng, finished = random.Random(0), 0
    for _ in range(20):
        process = start(many, "killed")
        time.sleep(rng.random() * 0.06)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (many / "killed" / "features.json").exists():
            now = len(Manifest(many / "killed").records())
            assert len(FeatureStore(many / "killed").videos()) <= now + 1
            assert now >= finished
            finished = now
    made, kept, failed = map(int, start(many, "killed").communicate()[0].split())
    assert (made + kept, failed) == (40, 0)
    assert kept == finished
    assert arrays(many / "killed") == arrays(many / "undisturbed")


def test_several_processes_share_the_work_and_all_end_when_it_is_done(many):
    processes = [start(many, "shared") for _ in range(3)]
    counts = [tuple(map(int, p.communicate()[0].split())) for p in processes]
    assert sum(made for made, _, _ in counts) == 40
    assert all(made + kept == 40 for made, kept, _ in counts)
    lines = (many / "shared" / "manifest.jsonl").read_text().splitlines()
    assert len(lines) == 40


def test_who_is_second_waits_for_the_video_in_work(videos, tmp_path):
    locks = tmp_path / "f" / ".locks"
    locks.mkdir(parents=True)
    held, done = Event(), Event()

    def hold():
        with FileLock(locks / "red.lock"):
            held.set()
            time.sleep(0.4)
            done.set()

    Thread(target=hold).start()
    held.wait()
    found = filled(tmp_path, videos)
    assert done.is_set()
    assert [r.id for r in found.made] == ["black", "green", "red"]


def test_the_colour_extractor_stands_for_an_installed_one(monkeypatch):
    from importlib.metadata import EntryPoint, EntryPoints

    from hasvideo.features import extractors

    ours = EntryPoints([EntryPoint("mine", "tests.colours:ColourExtractor", extractors.GROUP)])
    monkeypatch.setattr(extractors.importlib.metadata, "entry_points", lambda group: ours)
    assert isinstance(extractors.load_extractor("mine"), ColourExtractor)
    with pytest.raises(UsageError, match=r"did you mean mine\?; accepted: .*mine"):
        extractors.load_extractor("mime")
