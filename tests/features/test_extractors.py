"""Extractors: what a feature is must not depend on how the video was handed over."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hasvideo.errors import UsageError
from hasvideo.features import runtime
from hasvideo.features.extractors import load_extractor
from hasvideo.features.extractors.base import overlapping_blocks
from hasvideo.features.extractors.i3d import I3DExtractor, load_i3d
from hasvideo.features.runtime import Network, compile_network, resolve_engine
from hasvideo.video.localizer import Localizer


@given(
    length=st.integers(1, 60), size=st.integers(1, 20), before=st.integers(0, 9), after=st.integers(0, 9),
    cuts=st.lists(st.integers(0, 60), max_size=5),
)  # fmt: skip
def test_blocks_cover_the_sequence_once_with_its_ends_repeated(length, size, before, after, cuts):
    sequence = np.arange(length)
    chunks = np.split(sequence, sorted(c for c in cuts if c <= length))
    seen = 0
    for block, count in overlapping_blocks(chunks, size, before, after):
        wanted = np.clip(np.arange(seen - before, seen + size + after), 0, length - 1)
        assert block.tolist() == wanted.tolist()
        assert count == min(size, length - seen)
        seen += count
    assert seen == length


def test_an_empty_sequence_has_no_blocks():
    assert list(overlapping_blocks([np.zeros((0, 2))], 4, 1, 1)) == []


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """172 frames of coloured blocks that change from frame to frame."""
    blocks = np.random.default_rng(0).integers(0, 256, (172, 4, 4, 3), dtype=np.uint8)
    return blocks.repeat(16, axis=1).repeat(16, axis=2)


class SmallI3D(I3DExtractor):
    """The same on smaller frames, for the time that it takes."""

    size = 64


@pytest.fixture(scope="module", params=["torch", "openvino"])
def i3d(request):
    if request.param == "openvino":
        pytest.importorskip("openvino")
    return SmallI3D(request.param)


def features(extractor, frames, chunk):
    return np.concatenate(list(extractor(frames[i : i + chunk] for i in range(0, len(frames), chunk))))


def test_features_do_not_depend_on_chunks_and_equal_one_pass_over_the_whole_video(i3d, frames):
    found = features(i3d, frames, 37)
    assert found.dtype == np.float32
    assert len(found) >= i3d.grid.count(len(frames))
    np.testing.assert_allclose(features(i3d, frames, 172), found, atol=1e-4)
    with torch.inference_mode():
        video = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        whole = load_i3d().features(video)[0].T.numpy()
    inner = slice(6, 14)  # features whose 99 frames lie inside the video
    np.testing.assert_allclose(found[inner], whole[inner], atol=1e-4 * whole.max())


def test_block_sizes_are_a_matter_of_memory_only(i3d, frames, monkeypatch):
    from hasvideo.features.extractors import i3d as module

    found = features(i3d, frames, 64)
    monkeypatch.setattr(module, "_STEM", 16)
    monkeypatch.setattr(module, "_TAIL", 8)
    other = features(SmallI3D("torch"), frames, 64)
    np.testing.assert_allclose(other, found, atol=1e-4)


@pytest.mark.parametrize("count", [37, 100, 128])
def test_a_short_video_in_one_pass_has_the_features_that_blocks_give(i3d, frames, count, monkeypatch):
    from hasvideo.features.extractors import i3d as module

    found = features(i3d, frames[:count], 64)
    monkeypatch.setattr(module, "_AT_ONCE", 0)
    np.testing.assert_allclose(features(i3d, frames[:count], 64), found, atol=1e-4)


def test_one_frame_is_enough(i3d, frames):
    found = features(i3d, frames[:1], 1)
    assert found.shape == (1, 1024)
    assert np.isfinite(found).all()


def test_unknown_extractors_suggest_the_nearest():
    with pytest.raises(UsageError, match="did you mean i3d"):
        load_extractor("i3f")


@pytest.mark.parametrize(("wish", "device", "message"), [
    ("tensorrt", "cpu", "accepted: auto, torch, openvino"),
    ("openvino", "cuda", "--engine openvino computes on the CPU: --device cuda is for --engine torch"),
    ("torch", "cuda:99", "--device cuda:99 is not available"),
    ("torch", "nonsense", "unknown --device 'nonsense'; accepted: auto, cpu, cuda, cuda:1"),
])  # fmt: skip
def test_engines_and_devices_that_are_not_here(wish, device, message):
    with pytest.raises(UsageError, match=message):
        Localizer(engine=wish, device=device)


def test_auto_takes_openvino_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: object())
    assert resolve_engine("auto", "cpu") == "openvino"
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: None)
    assert resolve_engine("auto", "cpu") == "torch"
    with pytest.raises(UsageError, match=r"hasvideo\[openvino\]"):
        resolve_engine("openvino", "cpu")


def test_the_compiled_network_is_kept_and_computes_what_torch_does(tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setenv("HASVIDEO_CACHE", str(tmp_path))
    built = []

    def build():
        built.append(1)
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Conv3d(2, 3, 3, padding=1), torch.nn.ReLU()).eval()

    network = Network("tiny", build, (1, 2, 8, 8, 8), "float32", (1, 2, 4, 4, 4))
    x = np.random.default_rng(0).normal(size=network.shape).astype(np.float32)
    first = compile_network(network, "openvino")(x)
    again = compile_network(network, "openvino")(x)
    assert len(built) == 1
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first, compile_network(network, "torch")(x), atol=1e-5)
    longer = np.concatenate([x, x], axis=2)
    wanted = compile_network(network, "torch")(longer)
    np.testing.assert_allclose(compile_network(network, "openvino")(longer), wanted, atol=1e-5)


def test_nobody_is_told_that_a_network_was_compiled(tmp_path):
    pytest.importorskip("openvino")
    code = """
import os
os.register_at_fork(before=lambda: print("forked", flush=True))
import torch
from hasvideo.features.runtime import Network, compile_network
compile_network(Network("n", lambda: torch.nn.ReLU().eval(), (1, 4), "float32", (1, 4)), "openvino")
"""
    environment = {k: v for k, v in os.environ.items() if k != "CI"} | {"HASVIDEO_CACHE": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == ""


def test_signals_are_survived_after_networks_came_and_went(tmp_path):
    """OpenVINO's plugins put a stack for signals into the process; freed in a wrong order, the next signal is fatal."""
    pytest.importorskip("openvino")
    code = """
import gc, signal
import torch
from hasvideo.features.runtime import Network, compile_network
network = Network("n", lambda: torch.nn.ReLU().eval(), (1, 4), "float32", (1, 4))
signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
runs = [compile_network(network, "openvino") for _ in range(2)]
while runs:
    del runs[0]
    gc.collect()
    signal.raise_signal(signal.SIGUSR1)
"""
    environment = os.environ | {"HASVIDEO_CACHE": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "handled\nhandled\n"), result.stderr
