"""Whatever a file does to a decoder, the program gets frames or one clear error, and no process stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from hasvideo.errors import DecodeError, HasvideoError, UsageError
from hasvideo.frames.decode import DECODERS, DecoderWarning, open_reader
from hasvideo.frames.process import FrameStream
from tests.video_files import constant_times, flip_bytes, read_numbers, skip_without, write_video

FASTSTART = {"movflags": "faststart"}


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", constant_times(25, 100), b_frames=2)


@pytest.fixture
def broken_decord(tmp_path, monkeypatch):
    """A function that puts a decord made of the given statements in the place of the real one."""

    def put(statements: str) -> None:
        (tmp_path / "decord.py").write_text(f"import os, signal, sys, time\n{statements}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return put


@pytest.fixture(autouse=True)
def _nothing_left_running():
    before = set(psutil.Process().children())  # not theirs: a neighbour's browser starts processes when it likes
    yield
    assert set(psutil.Process().children()) <= before


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_frames_are_those_decoded_in_process(video, decoder):
    skip_without(decoder)
    reader = open_reader(video, decoder, short_side=48, start=1, end=3)

    with FrameStream(video, decoder, short_side=48, start=1, end=3) as stream:
        chunks = list(stream.chunks(16))

    assert (stream.info, stream.width, stream.height, stream.length) == (reader.info, 64, 48, 50)
    assert [len(chunk) for chunk in chunks] == [16, 16, 16, 2]
    np.testing.assert_array_equal(np.concatenate(chunks), np.concatenate(list(reader.chunks(50))))
    assert read_numbers(chunks) == list(range(25, 75))


def test_errors_of_the_request_and_of_the_file_are_told_apart(video, tmp_path):
    with pytest.raises(UsageError, match="is after the end of the video"), FrameStream(video, start=10):
        pass
    with pytest.raises(UsageError, match="unknown decoder 'opencv'"):
        FrameStream(video, "opencv")
    with pytest.raises(DecodeError, match="no such file"), FrameStream(tmp_path / "missing.mp4"):
        pass


def test_frames_before_a_cut_come_before_its_error(tmp_path):
    path = write_video(tmp_path / "cut.mp4", constant_times(25, 250), container_options=FASTSTART)
    path.write_bytes(path.read_bytes()[:-5000])
    chunks = []

    with pytest.raises(DecodeError, match="truncated or damaged"), FrameStream(path, short_side=48) as stream:
        chunks.extend(stream.chunks(64))

    found = read_numbers(chunks)
    assert len(found) > 25
    assert found == list(range(len(found)))


def test_a_decoder_that_crashes_is_an_error(video, broken_decord):
    broken_decord("os.kill(os.getpid(), signal.SIGSEGV)")

    with pytest.raises(DecodeError, match=r"clip.mp4: the decoder crashed \(SIGSEGV\).*--decoder pyav"):
        FrameStream(video).__enter__()


def test_a_decoder_that_ends_the_process_is_an_error_with_its_last_words(video, broken_decord):
    broken_decord("print('cannot go on', file=sys.stderr); os._exit(7)")

    with pytest.raises(DecodeError, match=r"clip.mp4: the decoder ended with code 7 \(cannot go on\)"):
        FrameStream(video).__enter__()


def test_a_decoder_that_hangs_is_cut_off(video, broken_decord):
    broken_decord(
        "class logging: set_level, QUIET = print, 0\n"
        "class VideoReader:\n"
        "    def __init__(self, *_, **__): time.sleep(1000)"
    )

    begin = time.monotonic()
    with (
        pytest.raises(DecodeError, match=r"clip.mp4: decoder made no progress for 1 s.*--decoder pyav"),
        FrameStream(video, timeout=1) as stream,
    ):
        list(stream.chunks())
    assert time.monotonic() - begin < 60  # it would hang for 1000


def test_what_a_decoder_prints_neither_reaches_the_user_nor_breaks_the_stream(video, broken_decord, capfd):
    broken_decord("os.write(1, b'noise\\n' * 99999); os.write(2, b'noise\\n' * 99999); raise ImportError")

    with pytest.warns(DecoderWarning, match="decord is not installed"), FrameStream(video, short_side=48) as stream:
        assert read_numbers(stream.chunks()) == list(range(100))
    assert capfd.readouterr() == ("", "")


def test_leaving_early_ends_the_child(video):
    with FrameStream(video) as stream:
        next(stream.chunks(1))
        assert psutil.Process().children()
    # the fixture _nothing_left_running looks afterwards


def test_a_reader_that_does_not_read_holds_the_child_back(tmp_path):
    path = write_video(tmp_path / "long.mp4", constant_times(25, 2500), gop=50)

    with FrameStream(path, short_side=256) as stream:
        next(stream.chunks(1))
        child = psutil.Process(stream._process.pid)
        usage = -1.0
        while child.cpu_times().user > usage:  # until it waits, or has decoded all
            usage = child.cpu_times().user
            time.sleep(0.5)
        waiting = stream._messages.qsize()
        assert child.memory_info().rss < 300 * 2**20  # all frames would be 655 MB

    assert waiting * stream.width * stream.height * 3 <= 2**25


def test_the_child_ends_when_the_parent_is_killed(video):
    script = (
        "import sys, time\n"
        "from hasvideo.frames.process import FrameStream\n"
        "stream = FrameStream(sys.argv[1]).__enter__()\n"
        "print(stream._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(video)], stdout=subprocess.PIPE, env=_environment())
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()

    assert psutil.wait_procs([child], timeout=60)[1] == []


def test_a_script_without_main_guard_works(video, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from hasvideo.frames.process import FrameStream\n"
        f"with FrameStream({str(video)!r}) as stream:\n"
        "    print(sum(len(chunk) for chunk in stream.chunks()))\n"
    )
    (tmp_path / "types.py").write_text("raise SystemExit('a file of the user was imported')")
    done = subprocess.run(
        [sys.executable, "-P", str(script)], cwd=tmp_path, env=_environment(), capture_output=True, text=True
    )

    assert (done.stdout, done.stderr) == ("100\n", "")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hasvideo.frames.decode.DecoderWarning")
def test_flipped_bytes_end_in_frames_or_an_error_and_never_hang(tmp_path, capfd):
    recipe = {"width": 64, "height": 48, "b_frames": 2, "container_options": FASTSTART}
    data = write_video(tmp_path / "clip.mp4", constant_times(25, 50), **recipe).read_bytes()

    def read(seed: int) -> str:
        path = tmp_path / f"{seed}.mp4"
        path.write_bytes(flip_bytes(data, seed))
        try:
            with FrameStream(path, short_side=48) as stream:
                for _ in stream.chunks():
                    pass
        except HasvideoError as error:
            return str(error)
        return "read"

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(read, range(60), timeout=240))

    failures = [result for result in results if result != "read"]
    assert 0 < len(failures) < 60  # else nothing, or everything, was damaged
    assert all(".mp4: " in failure and "\n" not in failure for failure in failures)
    assert capfd.readouterr() == ("", "")
