"""torchcodec where it cannot decode: asking for it is wrong usage, and what is missing is said before a video is read.

A package of its name stands in for it, which like the real one can be imported and fails at the first video.
"""

from __future__ import annotations

import os
import pickle
import sys
from functools import partial
from pathlib import Path

import pytest

import hasvideo
from hasvideo import batch_on_ray, extract, localize, train
from hasvideo.commands import run
from hasvideo.errors import UsageError
from hasvideo.features import extractors
from hasvideo.features.fill import fill
from hasvideo.features.make import Extraction, Maker
from hasvideo.features.ray_pool import _Actor
from hasvideo.frames import decode
from hasvideo.frames.process import FrameStream
from tests.colours import ColourExtractor, colour_model

TRACEBACK = """FFmpeg version {version}:
Traceback (most recent call last):
  File "torch/_ops.py", line 1587, in load_library
OSError: {reason}

The above exception was the direct cause of the following exception:

OSError: Could not load this library: torchcodec/libtorchcodec_core{version}.so
"""
ABSENT = "libavutil.so.{}: cannot open shared object file: No such file or directory"
MAC = "dlopen(libtorchcodec_core7.dylib, 0x0006): Library not loaded: @rpath/libavutil.59.dylib"
WINDOWS = r"Could not find module 'C:\torchcodec\libtorchcodec_core7.dll' (or one of its dependencies)."
MISMATCH = "libtorchcodec_core5.so: undefined symbol: _ZNK3c1010TensorImpl"
OLD = f"FFmpeg version 7: {ABSENT.format(59)}\nFFmpeg version 6: {ABSENT.format(58)}\n"  # in one line each, once
NO_FFMPEG = "decoder torchcodec lacks FFmpeg's shared libraries: install FFmpeg .*apt install ffmpeg"


def tracebacks(*reasons: str) -> str:
    return "".join(TRACEBACK.format(version=9 - i, reason=reason) for i, reason in enumerate(reasons))


WITHOUT_FFMPEG = tracebacks(ABSENT.format(61), ABSENT.format(60))


@pytest.fixture
def torchcodec(tmp_path, monkeypatch):
    """Put a torchcodec in place of the real one, for this process and its children: it fails with a text."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchcodec"]:
        monkeypatch.delitem(sys.modules, name)

    def fail_with(text: str) -> None:
        package = tmp_path / "packages" / "torchcodec"
        package.mkdir(parents=True)
        message = f"Could not load libtorchcodec. Likely causes:\n 1. FFmpeg is not properly installed.\n{text}"
        (package / "__init__.py").touch()
        (package / "transforms.py").write_text("Resize = list\n")
        (package / "decoders.py").write_text(f"def VideoDecoder(*_, **__):\n    raise RuntimeError({message!r})\n")
        monkeypatch.syspath_prepend(package.parent)

    return fail_with


@pytest.fixture
def videos(tmp_path) -> Path:
    """Two classes of two videos, which nothing can read: whoever tries says so, and exits with 1."""
    for name in ("red/a", "red/b", "green/c", "green/d"):
        path = tmp_path / "videos" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no video")
    return tmp_path / "videos"


@pytest.fixture
def model(tmp_path, monkeypatch) -> str:
    monkeypatch.setattr(extractors, "load_extractor", lambda *_: ColourExtractor())
    return str(colour_model(tmp_path / "colours.ckpt"))


@pytest.mark.parametrize(("text", "message"), [
    (WITHOUT_FFMPEG, NO_FFMPEG),
    (OLD, NO_FFMPEG),
    (tracebacks(MAC, MAC), NO_FFMPEG),
    (tracebacks(WINDOWS, WINDOWS), NO_FFMPEG),
    (tracebacks(ABSENT.format(61), MISMATCH), "cannot be used here .*undefined symbol: _ZNK3c10.*PyTorch that fits"),
    (tracebacks("libnppicc.so.12: cannot open shared object file"), "libnppicc.so.12: cannot open"),
    ("", "cannot be used here .Could not load libtorchcodec"),
])  # fmt: skip
def test_what_is_missing_is_said(torchcodec, text, message):
    torchcodec(text)
    with pytest.raises(UsageError, match=f"{message}.*decord and pyav need nothing more"):
        decode.require_decoder("torchcodec")


def test_one_that_is_not_installed_says_how_to_install_it(torchcodec, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    with pytest.raises(UsageError, match=r"torchcodec is not installed: pip install 'hasvideo\[torchcodec\]'"):
        decode.require_decoder("torchcodec")


@pytest.mark.parametrize("command", [
    lambda videos, model: (localize, [videos / "red", "--model", model, "-f", "json", "-o", "out"]),
    lambda videos, model: (localize, [videos / "red", "--model", model, "--results", "out.json"]),
    lambda videos, model: (localize, [videos / "red" / "a.mp4", "--model", model, "--follow"]),
    lambda videos, _: (extract, [videos, "--recursive", "-o", "out"]),
    lambda videos, _: (extract, [videos, "--recursive", "-o", "out", "--workers", "2"]),
    lambda videos, _: (train, [videos, "-o", "out.ckpt", "--holdout", "0"]),
], ids=["localize", "results", "follow", "extract", "workers", "train"])  # fmt: skip
def test_a_command_ends_with_2_before_it_reads_or_writes_anything(
    torchcodec, videos, model, tmp_path, monkeypatch, capsys, command
):
    torchcodec(WITHOUT_FFMPEG)
    # Workers are processes of their own.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path / "packages"), *filter(None, sys.path))))
    monkeypatch.chdir(tmp_path)
    module, arguments = command(videos, model)
    with pytest.raises(SystemExit) as left:
        run(module.main, [*map(str, arguments), "--quiet", "--decoder", "torchcodec"])
    out, errors = capsys.readouterr()
    assert (left.value.code, out) == (2, "")
    assert errors.count("\n") == 1
    assert "hasvideo: error: decoder torchcodec lacks FFmpeg's shared libraries" in errors
    assert list(tmp_path.glob("out*/*.*")) + list(tmp_path.glob("out*.*")) == []


def test_functions_raise(torchcodec, videos, model, tmp_path):
    torchcodec(WITHOUT_FFMPEG)
    path, how = videos / "red" / "a.mp4", Extraction(decoder="torchcodec")
    with pytest.raises(UsageError, match=NO_FFMPEG):
        hasvideo.localize(path, model=model, decoder="torchcodec")
    with pytest.raises(UsageError, match=NO_FFMPEG):
        fill(tmp_path / "features", {"a": path}, how, progress=False)
    with pytest.raises(UsageError, match=NO_FFMPEG):
        decode.open_reader(path, "torchcodec")
    with pytest.raises(UsageError, match=NO_FFMPEG), FrameStream(path, "torchcodec"):
        pass


def test_on_ray_the_workers_say_so_before_their_first_video(torchcodec, videos, model, tmp_path, monkeypatch):
    torchcodec(WITHOUT_FFMPEG)
    made = []
    monkeypatch.setattr(batch_on_ray, "run_on_ray", lambda make, *_, **__: made.append(make) or iter(()))
    arguments = [str(videos / "red"), "--model", model, "--engine", "ray", "--quiet", "--decoder", "torchcodec"]
    assert localize.main(arguments) == 0  # this machine decodes nothing, and need not have torchcodec
    how = Extraction(decoder="torchcodec", engine="ray")
    for make in (*(partial(make, "cpu") for make in made), lambda: Maker(tmp_path / "features", how)):
        error = pickle.loads(pickle.dumps(_Actor().prepare(make)))
        assert isinstance(error, UsageError)
        assert "lacks FFmpeg's shared libraries" in str(error)
