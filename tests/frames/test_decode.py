"""Each decoder must show the right frame at the right time, whatever the file's rate, container and codec."""

from __future__ import annotations

import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hasvideo.errors import DecodeError, UsageError
from hasvideo.frames import decode
from hasvideo.frames.decode import DECODERS, DecoderWarning, open_reader
from tests.video_files import (
    constant_times,
    expected_numbers,
    number_at,
    read_number,
    read_numbers,
    skip_without,
    variable_times,
    write_sound,
    write_video,
)

NTSC = Fraction(30000, 1001)
FASTSTART = {"movflags": "faststart"}
AV1 = {"preset": "8", "crf": "10"}
VIDEOS: dict[str, dict[str, Any]] = {
    "constant_10.mp4": {"times": constant_times(10, 25)},
    "constant_23.976.mp4": {"times": constant_times(Fraction(24000, 1001), 60)},
    "constant_25.mp4": {"times": constant_times(25, 60)},
    "constant_29.97.mp4": {"times": constant_times(NTSC, 200), "b_frames": 2},
    "constant_50.mkv": {"times": constant_times(50, 150)},
    "constant_60.mp4": {"times": constant_times(60, 200), "b_frames": 3},
    "variable.mkv": {"times": variable_times(80), "b_frames": 2},
    "variable.mp4": {"times": variable_times(80, seed=1)},
    "sound_is_longer.mkv": {"times": constant_times(25, 60), "sound": 5},
    "sound_is_longer.mp4": {"times": constant_times(25, 60), "sound": 5},
    "starts_late.mp4": {"times": constant_times(25, 100), "first_time": 0.5, "sound": 5},
    "starts_late.ts": {"times": constant_times(25, 100), "first_time": 7, "b_frames": 2},
    "odd_size.mp4": {"times": constant_times(25, 60), "width": 131, "height": 97, "pix_fmt": "yuv444p"},
    "ten_bits.mp4": {"times": constant_times(25, 60), "pix_fmt": "yuv420p10le"},
    "one_frame.mp4": {"times": constant_times(60, 1)},
    "open_gop.mp4": {
        "times": constant_times(25, 200),
        "options": {"preset": "veryfast", "x264-params": "open-gop=1:bframes=3:keyint=20:min-keyint=20"},
    },
    "open_gop_hevc.mp4": {
        "times": constant_times(25, 100),
        "codec": "libx265",
        "options": {"preset": "ultrafast", "x265-params": "open-gop=1:bframes=3:keyint=20:log-level=none"},
    },
    "fragmented.mp4": {
        "times": constant_times(25, 100),
        "container_options": {"movflags": "frag_keyframe+empty_moov"},
    },
    "hidden_frames.webm": {
        "times": constant_times(25, 100),
        "codec": "libvpx",
        "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good", "cpu-used": "8"},
    },
    "vp9.webm": {"times": variable_times(40), "codec": "libvpx-vp9", "options": {"cpu-used": "8"}},
    "mpeg4.avi": {"times": constant_times(25, 100), "codec": "mpeg4", "b_frames": 2, "tick": Fraction(1, 25)},
    "mpeg2.mpg": {"times": constant_times(25, 100), "codec": "mpeg2video", "b_frames": 2, "tick": Fraction(1, 25)},
    "motion_jpeg.mov": {"times": constant_times(25, 80), "codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(params=DECODERS)
def decoder(request) -> str:
    skip_without(request.param)
    return request.param


@pytest.fixture(autouse=True)
def _no_warnings():
    """A decoder that gives up for PyAV says so; where no test expects it, that is a failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def make(folder: Path, name: str) -> tuple[Path, list[Fraction]]:
    """The video of that name in VIDEOS, written once."""
    recipe = dict(VIDEOS[name])
    times = recipe.pop("times")
    path = folder / name
    shown = [times[0], *(time + Fraction(recipe.get("first_time", 0)) * (path.suffix == ".mp4") for time in times[1:])]
    return (path if path.exists() else write_video(path, times, **recipe)), shown


def numbers(path: Path, decoder: str = "pyav", **options: Any) -> list[int | None]:
    return read_numbers(open_reader(path, decoder, short_side=48, **options).chunks(16))


@pytest.mark.parametrize("name", VIDEOS)
def test_every_frame_is_the_one_on_display_then(folder, name, decoder):
    path, times = make(folder, name)

    assert numbers(path, decoder) == expected_numbers(times, 25)


@pytest.mark.parametrize("name", ["constant_60.mp4", "variable.mkv", "open_gop.mp4", "starts_late.ts", "mpeg4.avi"])
@pytest.mark.parametrize(("start", "end"), [(1.0, 2.0), (2.51, None), (None, 0.7), (1.99, 99.0)])
def test_a_part_shows_the_same_frames_as_the_whole(folder, name, decoder, start, end):
    path, times = make(folder, name)

    assert numbers(path, decoder, start=start, end=end) == expected_numbers(times, 25, start or 0, end)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated_videos_come_out_upright(tmp_path, decoder, rotation):
    path = write_video(tmp_path / "rotated.mp4", constant_times(25, 30), width=128, height=96, rotation=rotation)

    reader = open_reader(path, decoder, short_side=48)

    upright = (96, 128) if rotation in (90, 270) else (128, 96)
    assert (reader.info.rotation, reader.info.width, reader.info.height) == (rotation, *upright)
    assert (reader.width, reader.height) == tuple(side // 2 for side in upright)
    assert read_numbers(reader.chunks(8)) == list(range(30))


def test_anamorphic_pixels_become_square(tmp_path, decoder):
    path = write_video(tmp_path / "anamorphic.mp4", constant_times(25, 30), pixel_aspect=Fraction(3, 2))

    reader = open_reader(path, decoder, short_side=48)

    assert (reader.info.width, reader.info.height) == (192, 96)
    assert (reader.width, reader.height) == (96, 48)
    assert next(reader.frames()).shape == (48, 96, 3)


@pytest.mark.parametrize(("short_side", "size"), [(None, (131, 97)), (64, (86, 64)), (200, (270, 200))])
def test_short_side_scales_and_keeps_the_aspect(folder, decoder, short_side, size):
    path, _ = make(folder, "odd_size.mp4")

    reader = open_reader(path, decoder, short_side=short_side)
    frame = next(reader.frames())

    assert (reader.width, reader.height) == size
    assert (frame.shape, frame.dtype) == ((size[1], size[0], 3), np.uint8)
    assert read_number(frame) == 0


def test_decoders_agree_on_pixels(tmp_path):
    pytest.importorskip("decord")
    path = tmp_path / "colours.mp4"
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (30, 6, 8, 3), np.uint8)
    write_video(path, constant_times(25, 30), width=256, height=192, images=np.kron(coarse, np.ones((32, 32, 1), "u1")))

    decord, pyav = (np.stack(list(open_reader(path, d, short_side=96).frames())) for d in ("decord", "pyav"))

    assert np.abs(decord.astype(int) - pyav).mean() < 3
    assert pyav.std() > 50


@pytest.mark.parametrize("size", [1, 7, 60, 1000])
def test_chunks_are_the_frames_in_order(folder, size):
    path, _ = make(folder, "constant_25.mp4")

    chunks = list(open_reader(path, "pyav", short_side=48).chunks(size))

    assert [len(chunk) for chunk in chunks[:-1]] == [size] * (len(chunks) - 1)
    assert 0 < len(chunks[-1]) <= size
    assert read_numbers(chunks) == list(range(60))


def test_metadata_that_is_no_utf8_is_no_obstacle(tmp_path):
    path = tmp_path / "video.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Caf-"
        stream = container.add_stream("libx264", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode())
    written = path.read_bytes()
    assert b"Caf-" in written
    path.write_bytes(written.replace(b"Caf-", b"Caf\xe9"))
    assert len(list(open_reader(path, "pyav").frames())) == 1


def test_without_fps_every_source_frame_comes_once(folder, decoder):
    path, _ = make(folder, "constant_29.97.mp4")

    assert numbers(path, decoder, fps=None) == list(range(200))


def test_info_describes_the_video(folder):
    path, _ = make(folder, "constant_29.97.mp4")

    info = open_reader(path).info

    assert info.path == path
    assert info.duration == pytest.approx(200 / float(NTSC), abs=1e-3)
    assert info.fps == pytest.approx(float(NTSC), abs=1e-3)
    assert (info.width, info.height, info.rotation) == (128, 96, 0)


def test_what_was_opened_to_look_at_a_file_is_closed(folder, monkeypatch):
    """Else the index of hours of video would be in memory twice until the garbage is collected."""
    path, _ = make(folder, "constant_29.97.mp4")
    opened = []
    open_container = av.open
    monkeypatch.setattr(av, "open", lambda *a, **k: opened.append(open_container(*a, **k)) or opened[-1])

    open_reader(path)

    assert opened
    for container in opened:
        with pytest.raises(AssertionError, match="not open"):
            container.seek(0)


def test_a_codec_that_decord_lacks_is_left_to_pyav(tmp_path):
    pytest.importorskip("decord")
    path = tmp_path / "modern.mp4"
    # In a process of its own: for root, SVT-AV1 makes the thread that opens it a real-time one, for good.
    with ProcessPoolExecutor(1, get_context("spawn")) as encoder:
        encoder.submit(write_video, path, constant_times(25, 30), codec="libsvtav1", options=AV1).result()

    with pytest.warns(DecoderWarning, match=r"modern.mp4: decord cannot decode av1; PyAV decodes it"):
        assert numbers(path, "decord") == list(range(30))


def test_without_decord_pyav_decodes(folder, monkeypatch):
    path, _ = make(folder, "constant_25.mp4")
    monkeypatch.setitem(sys.modules, "decord", None)

    with pytest.warns(DecoderWarning, match="decord is not installed"):
        assert numbers(path, "decord") == list(range(60))


def test_key_frames_too_far_apart_for_decord_are_left_to_pyav(tmp_path, monkeypatch):
    pytest.importorskip("decord")
    path = write_video(tmp_path / "long.mp4", constant_times(25, 300), gop=100)
    monkeypatch.setattr(decode, "SEGMENT_BYTES", 90 * 48 * 64 * 3)

    assert numbers(path, "decord") == list(range(300))


def test_damage_in_the_middle_costs_only_its_own_group_of_frames(tmp_path, decoder):
    path = write_video(tmp_path / "damaged.mp4", constant_times(25, 240), gop=24, container_options=FASTSTART)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
    data = bytearray(path.read_bytes())
    for packet in packets[122:126]:  # in the group of frames 120 to 143
        data[packet.pos + 5 : packet.pos + packet.size] = bytes(packet.size - 5)
    path.write_bytes(data)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = numbers(path, decoder)

    assert len(found) == 240
    assert found[:122] == list(range(122))
    assert found[144:] == list(range(144, 240))


@pytest.mark.parametrize("container_options", [FASTSTART, None])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_truncated_file_is_read_to_the_cut_then_reported(tmp_path, decoder, suffix, container_options):
    times = constant_times(25, 250)
    path = write_video(tmp_path / f"cut{suffix}", times, container_options=container_options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    if suffix == ".mp4" and not container_options:
        with pytest.raises(DecodeError, match="moov atom not found"):
            open_reader(path, decoder)
        return

    chunks: list[np.ndarray] = []
    message = r"video data end at (\S+) s of 10.0 s: the file is truncated or damaged; --end \1 reads the readable part"
    with pytest.raises(DecodeError, match=message) as error:
        chunks.extend(open_reader(path, decoder, short_side=48).chunks(100))
    found = read_numbers(chunks)
    readable = float(str(error.value).split("--end ")[1].split()[0])

    assert 3 < readable < 9
    assert found == list(range(len(found)))
    assert len(found) / 25 == pytest.approx(readable, abs=0.1)
    assert numbers(path, decoder, end=readable) == expected_numbers(times, 25, end=readable)


def test_a_part_after_the_cut_is_reported_as_cut(tmp_path):
    path = write_video(tmp_path / "cut.mp4", constant_times(25, 250), container_options=FASTSTART)
    path.write_bytes(path.read_bytes()[:-3000])

    with pytest.raises(DecodeError, match=r"video data end at \S+ s of 10.0 s"):
        numbers(path, start=9.0)


def test_a_few_frames_missing_at_the_end_are_no_error(tmp_path, decoder):
    path = write_video(tmp_path / "cut.mp4", constant_times(25, 250), container_options=FASTSTART)
    with av.open(str(path)) as container:
        positions = [packet.pos for packet in container.demux(container.streams.video[0]) if packet.size]
    path.write_bytes(path.read_bytes()[: positions[245]])

    assert numbers(path, decoder) == [*range(245), *[244] * 5]


def _text(path: Path) -> None:
    path.write_text("frame after frame\n" * 50)


def _still(path: Path) -> None:
    write_video(path.with_suffix(".jpg"), constant_times(25, 1), codec="mjpeg", pix_fmt="yuvj420p").rename(path)


def _no_frames(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 64, 48
        container.start_encoding()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "no such file"),
        (Path.mkdir, "a folder or device"),
        (Path.touch, "the file is empty"),
        (_text, "no video, or one that is damaged"),
        (_still, "a still image"),
        (_no_frames, "holds no video"),
        (write_sound, "holds no video, only sound"),
    ],
)
def test_what_is_no_video_is_named(tmp_path, write, message):
    path = tmp_path / 'it\'s a "clip" 🎬.mp4'
    write(path)

    with pytest.raises(DecodeError) as error:
        open_reader(path)

    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"decoder": "opencv"}, "unknown decoder 'opencv'; known: decord, pyav, torchcodec"),
        ({"start": -1.0}, "start must be 0 or more seconds, got -1"),
        ({"start": float("nan")}, "start must be 0 or more"),
        ({"start": 2.0, "end": 2.0}, r"end must be after start \(2 s\), got 2"),
        ({"end": 0.0}, r"end must be after start \(0 s\), got 0"),
        ({"start": 2.5}, r"start \(2.5 s\) is after the end of the video \(2.40 s\)"),
        ({"fps": 0.0}, "fps must be above 0"),
        ({"short_side": 0}, "short side must be 1 to 8192"),
    ],
)
def test_requests_that_make_no_sense_are_refused(folder, request_, message):
    path, _ = make(folder, "constant_25.mp4")

    with pytest.raises(UsageError, match=message):
        open_reader(path, **request_)


@given(
    milliseconds=st.lists(st.integers(1, 400), min_size=1, max_size=40),
    fps=st.sampled_from([5.0, 23.976, 25.0, 30.0, 60.0]),
    data=st.data(),
)
def test_resampling_shows_at_each_time_the_frame_on_display(milliseconds, fps, data):
    times = [Fraction(0)]
    for duration in milliseconds:
        times.append(times[-1] + Fraction(duration, 1000))
    length = float(times[-1])
    start = data.draw(st.floats(0, length * 0.9))
    grid = decode._Grid(start, fps, max(1, round((length - start) * fps)))
    frames = (decode._Frame(float(a), float(b), lambda n=n: np.array(n)) for n, (a, b) in enumerate(pairwise(times)))

    shown = [int(image) for image in decode._on_display(frames, grid)]

    assert shown == [number_at(times, grid.time(k)) for k in range(grid.length)]
