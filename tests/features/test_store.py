import builtins
import io
import json
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.store import FeatureMeta, FeatureStore
from hasvideo.types import TimeGrid

META = FeatureMeta("i3d", "ab" * 32, TimeGrid(25, 16, 8, -4), 4)


@pytest.fixture
def store(tmp_path):
    return FeatureStore.create(tmp_path / "features", META)


def features(length=5):
    return np.random.default_rng(0).normal(size=(length, 4)).astype(np.float32)


def test_save_and_load(store):
    store.save("video 1", features())
    for mmap in (False, True):
        loaded = FeatureStore(store.folder).load("video 1", mmap)
        assert loaded.dtype == np.float16
        np.testing.assert_array_equal(loaded, features().astype(np.float16))
    assert isinstance(store.load("video 1", mmap=True), np.memmap)


@pytest.mark.parametrize("length", [1, 1024, 2500])
def test_the_file_is_what_numpy_writes(store, tmp_path, length):
    store.save("long", features(length))
    np.save(tmp_path / "wanted.npy", features(length).astype(np.float16))
    assert store.path("long").read_bytes() == (tmp_path / "wanted.npy").read_bytes()


def test_float32_keeps_every_bit(tmp_path):
    store = FeatureStore.create(tmp_path, FeatureMeta("c3d", "", TimeGrid(25, 16, 2), 4, "float32"))
    store.save("v", features())
    np.testing.assert_array_equal(store.load("v"), features())


def test_description_is_the_documented_json(store):
    fields = json.loads((store.folder / "features.json").read_text())
    assert fields == {"extractor": "i3d", "weights_sha256": "ab" * 32, "dim": 4, "dtype": "float16",
                      "fps": 25, "window": 16, "stride": 8, "offset": -4}  # fmt: skip
    assert FeatureStore(store.folder).meta == META
    assert FeatureStore(store.folder).grid == TimeGrid(25, 16, 8, -4)


def test_videos_are_the_finished_arrays(store):
    for name in ("b", "a.mp4", "c"):
        store.save(name, features())
    (store.folder / ".tmp-x1.npy").write_bytes(b"half")
    (store.folder / "notes.txt").touch()
    assert store.videos() == ["a.mp4", "b", "c"]
    assert "b" in store
    assert "d" not in store


def test_shape_and_type_come_from_the_header(store):
    """Of an array of 40 GB, all a hole in its file."""
    store.save("v", features())
    assert store.describe("v") == ((5, 4), "float16")
    with store.path("v").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": (5 * 10**9, 4)})
        file.truncate(file.tell() + 5 * 10**9 * 8)
    assert store.describe("v") == ((5 * 10**9, 4), "float16")
    with store.path("v").open("r+b") as file:
        file.truncate(10**9)
    with pytest.raises(HasvideoError, match=r"v\.npy is not a readable \.npy array: 1000000000 bytes of"):
        store.describe("v")
    store.path("v").write_text("hello")
    with pytest.raises(HasvideoError, match=r"v\.npy is not a readable"):
        store.describe("v")
    with pytest.raises(HasvideoError, match="no features of video 'x'"):
        store.describe("x")


@pytest.mark.slow
def test_of_100_000_videos_no_file_is_looked_at_to_list_them(store, monkeypatch):
    names = [f"video_{number:06}" for number in range(100_000)]
    for name in names:
        store.path(name).touch()
    for module, call in ((os, "stat"), (os, "open"), (builtins, "open"), (io, "open"), (Path, "stat")):
        monkeypatch.setattr(module, call, None)
    began = time.process_time()
    assert store.videos() == names
    assert store.lacking([*names, "x"]) == ["x"]
    assert time.process_time() - began < 2


def test_create_opens_the_same_kind_and_refuses_another(store):
    assert FeatureStore.create(store.folder, META).meta == META
    with pytest.raises(HasvideoError, match=r"holds other features.*choose another folder"):
        FeatureStore.create(store.folder, FeatureMeta("c3d", "", TimeGrid(25, 16, 2), 4096))


def test_missing_folder_and_description(tmp_path):
    with pytest.raises(UsageError, match="no feature folder"):
        FeatureStore(tmp_path / "absent")
    with pytest.raises(UsageError, match=r"holds no features\.json"):
        FeatureStore(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"extractor": "i3d"}', '{"extractor": "i3d", "fps": 0, "window": 1, '
                                  '"stride": 1, "dim": 4, "dtype": "float16"}'])  # fmt: skip
def test_bad_description(tmp_path, text):
    (tmp_path / "features.json").write_text(text)
    with pytest.raises(HasvideoError, match=r"features\.json is not a feature description.*stride"):
        FeatureStore(tmp_path)


def test_missing_video(store):
    with pytest.raises(HasvideoError, match="no features of video 'x'"):
        store.load("x")


def test_unreadable_and_unsafe_files(store):
    store.path("text").write_text("hello")
    store.path("empty").touch()
    np.save(store.path("pickle"), np.array([{}], dtype=object), allow_pickle=True)
    for video in ("text", "empty", "pickle"):
        with pytest.raises(HasvideoError, match=rf"{video}\.npy is not a readable"):
            store.load(video)


@pytest.mark.parametrize("array", [np.zeros((5, 3), np.float32), np.zeros((0, 4), np.float32), np.zeros(4, np.float32)])
def test_wrong_shapes_are_neither_saved_nor_loaded(store, array):
    with pytest.raises(HasvideoError, match=r"features\.json promises \(T, 4\)"):
        store.save("v", array)
    np.save(store.path("v"), array)
    with pytest.raises(HasvideoError, match=r"v\.npy has shape"):
        store.load("v")


@pytest.mark.parametrize(("shape", "seems"), [
    ((4, 9), "transposed features (D, T); array.T makes"),
    ((9, 10, 4), "features of 10 crops (T, 10, D); array.mean(axis=1) makes"),
    ((10, 4, 9), "features of 10 crops, transposed (10, D, T); array.mean(axis=0).T makes"),
    ((1, 4, 9), "a batch of one, transposed (1, D, T); array[0].T makes"),
    ((4,), "one feature of the whole video (D); array[None] makes"),
])  # fmt: skip
def test_what_a_wrong_shape_looks_like_is_told(store, shape, seems):
    np.save(store.path("v"), np.zeros(shape, np.float32))
    for read in (store.load, store.describe):
        with pytest.raises(HasvideoError, match=rf"promises \(T, 4\) with T >= 1: it looks like {re.escape(seems)}"):
            read("v")


def test_wrong_dtype(store):
    np.save(store.path("v"), np.zeros((2, 4), np.int64))
    with pytest.raises(HasvideoError, match="int64; accepted: float16, float32"):
        store.load("v")


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e6])
def test_numbers_must_be_finite_in_the_files_dtype(store, bad):
    array = features()
    array[2, 1] = bad
    with pytest.raises(HasvideoError, match="not finite in float16"):
        store.save("v", array)
    assert store.videos() == []


def test_require(store):
    store.require("i3d", "ab" * 32, META.grid, 4)
    store.require("i3d", "", META.grid, 4)
    for arguments, name in [(("c3d", "", META.grid, 4), "extractor is i3d, the model was trained on c3d"),
                            (("i3d", "cd" * 32, META.grid, 4), "weights_sha256"),
                            (("i3d", "", TimeGrid(25, 16, 16), 4), "grid"),
                            (("i3d", "", META.grid, 2048), "dim is 4")]:  # fmt: skip
        with pytest.raises(HasvideoError, match=name):
            store.require(*arguments)


def test_metadata_is_checked():
    with pytest.raises(ValueError, match="float64"):
        FeatureMeta("i3d", "", META.grid, 4, "float64")
    with pytest.raises(ValueError, match="dim"):
        FeatureMeta("i3d", "", META.grid, 0)


def test_a_description_that_is_no_text_is_one_clear_error(tmp_path):
    (tmp_path / "features.json").write_bytes(b"\xff\xfe")
    with pytest.raises(HasvideoError, match=r"features\.json is not UTF-8 text"):
        FeatureStore(tmp_path)
