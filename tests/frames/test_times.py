"""All frames, in order and at players' times, whatever headers and timestamps say."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hasvideo.errors import DecodeError
from hasvideo.frames.container import DecoderWarning
from hasvideo.frames.decode import DECODERS, open_reader
from hasvideo.frames.live import stream_path
from hasvideo.frames.process import FrameStream
from tests.video_files import constant_times, draw_number, expected_numbers, read_numbers, skip_without, write_video

FOUR_SECONDS = constant_times(25, 100)
MPEG2: dict[str, Any] = {"codec": "mpeg2video", "tick": Fraction(1, 25)}
REORDERED = {"preset": "veryfast", "x264-params": "bframes=3:keyint=20:min-keyint=20"}
OPEN_GOP = {"preset": "veryfast", "x264-params": "open-gop=1:bframes=3:keyint=20:min-keyint=20"}


@pytest.fixture(params=DECODERS)
def decoder(request) -> str:
    skip_without(request.param)
    return request.param


def numbers(path: Path, decoder: str = "pyav", **options: Any) -> list[int | None]:
    return read_numbers(open_reader(path, decoder, short_side=48, **options).chunks(16))


def joined(path: Path, runs: int, first_times: Sequence[float] = (0, 0, 0), **options: Any) -> Path:
    """Recordings of 100 frames each, numbered on, one behind the other in one file."""
    data = b""
    for run in range(runs):
        images = np.stack([draw_number(100 * run + k) for k in range(100)])
        part = path.with_stem(f"part{run}")
        data += write_video(part, FOUR_SECONDS, images=images, first_time=first_times[run], **options).read_bytes()
    path.write_bytes(data)
    return path


def decoded(path: Path) -> np.ndarray:
    """All frames of a file in the order in which they are decoded, grey."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)]).astype(float)


@pytest.mark.parametrize(("name", "duration", "order"), [
    ("d_late.mkv", 10.023, [0] * 51 + list(range(200))),
    ("d_late.mp4", 10.0, [0] * 50 + list(range(200))),
    ("c_cat.ts", 8.0, list(range(200))),
    ("m_short.mp4", 8.0, list(range(200))),
    ("hole400.mkv", 408.0, [*range(100), *[99] * 10000, *range(100, 200)]),
    ("a_h264b.avi", 4.0, list(range(100))),
])  # fmt: skip
def test_files_that_were_reported(shared_data, decoder, name, duration, order):
    path = shared_data / "faults" / name
    frames = decoded(path)
    reader = open_reader(path, decoder, fps=25, short_side=None)
    assert reader.info.duration == pytest.approx(duration, abs=0.001)
    assert reader.length == len(order)
    last: np.ndarray | None = None
    for k, image in enumerate(reader.frames()):
        if last is not None and image is last and order[k] == order[k - 1]:
            continue  # a still picture
        last, grey = image, image.mean(axis=2)
        near = range(max(0, order[k] - 2), min(len(frames), order[k] + 3))
        distances = {n: np.abs(grey - frames[n]).mean() for n in near}
        assert distances[order[k]] <= min(distances.values()) + 0.05, (k, distances)
    assert k == len(order) - 1


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("start", [None, 1.0, 3.0])
def test_a_picture_that_comes_late_is_held_until_it_is_due(tmp_path, decoder, suffix, start):
    path = write_video(tmp_path / f"late{suffix}", FOUR_SECONDS, first_time=2, sound=6, b_frames=2)
    expected = [0] * 50 + list(range(100))
    assert numbers(path, decoder, start=start) == expected[round(25 * (start or 0)) :]


def test_a_broadcast_starts_where_its_sound_does(tmp_path, decoder):
    path = write_video(tmp_path / "late.ts", FOUR_SECONDS, first_time=7.7, sound=5, sound_from=7)
    found = numbers(path, decoder)
    lead = len(found) - 100
    assert lead / 25 == pytest.approx(0.7 + 1024 / 8000, abs=0.04)  # AAC's first 1024 samples are its encoder's delay
    assert found == [0] * lead + list(range(100))


@pytest.mark.parametrize(("suffix", "options"), [
    (".ts", {}), (".ts", {"b_frames": 2}), (".vob", MPEG2), (".mpg", MPEG2),
])  # fmt: skip
@pytest.mark.parametrize(("runs", "first_times"), [(2, (0, 0)), (3, (0, 0, 0)), (3, (90, 0, 1000))])
def test_recordings_that_were_joined_go_on(tmp_path, decoder, suffix, options, runs, first_times):
    path = joined(tmp_path / f"joined{suffix}", runs, first_times, **options)
    assert open_reader(path, decoder).info.duration == pytest.approx(4 * runs, abs=0.001)
    assert numbers(path, decoder) == list(range(100 * runs))
    assert numbers(path, decoder, start=5.0, end=7.0) == list(range(125, 175))


def test_all_streams_follow_a_clock_that_was_set(tmp_path, decoder):
    """The second and third recording, too, begin with 2 s of sound, while the picture stands still."""
    found = numbers(joined(tmp_path / "joined.ts", 3, (2, 2, 2), sound=6), decoder)
    held = [found.count(number) for number in range(300)]
    assert found == sorted(found)
    assert [k for k, count in enumerate(held) if count != 1] == [0, 99, 199]
    assert [held[0], held[99], held[199]] == [pytest.approx(54, abs=2)] * 3


def test_matroska_files_that_were_joined_go_on(tmp_path, decoder):
    path = joined(tmp_path / "joined.mkv", 2, b_frames=2)
    assert numbers(path, decoder) == list(range(200))
    assert numbers(path, decoder, start=5.0) == list(range(125, 200))


@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
def test_clocks_that_wrap_around_go_on(tmp_path, decoder, suffix):
    options = MPEG2 if suffix == ".mpg" else {"b_frames": 2}
    path = write_video(tmp_path / f"wrap{suffix}", FOUR_SECONDS, first_time=2**33 / 90000 - 3.5, **options)
    assert numbers(path, decoder) == list(range(100))
    assert numbers(path, decoder, start=3.0) == list(range(75, 100))


@pytest.mark.parametrize("source", ["file", "pipe"])
@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_a_piped_file_has_the_times_of_the_file(tmp_path, suffix, source):
    """With a clock that is set in TS, and a gap of 400 s in Matroska."""
    if suffix == ".ts":
        path, expected = joined(tmp_path / "a.ts", 2, b_frames=2), list(range(200))
    else:
        times = [time + 400 * (k > 50) for k, time in enumerate(FOUR_SECONDS)]
        path, expected = write_video(tmp_path / "a.mkv", times, b_frames=2), expected_numbers(times, 25)
    with path.open("rb") as file:
        opened = path if source == "file" else stream_path("a", f"fd:{file.fileno()}")
        assert numbers(opened) == expected


@pytest.mark.parametrize("gap", [20, 400])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_gap_is_a_still_picture(tmp_path, decoder, suffix, gap):
    times = [time + gap * (k > 50) for k, time in enumerate(FOUR_SECONDS)]
    path = write_video(tmp_path / f"gap{suffix}", times, b_frames=2, width=64, height=48)
    assert numbers(path, decoder, fps=5) == expected_numbers(times, 5)
    assert numbers(path, decoder, start=gap + 3) == expected_numbers(times, 25, gap + 3)


def test_memory_does_not_grow_with_a_gap(tmp_path):
    import psutil

    times = [time + 4000 * (k > 50) for k, time in enumerate(FOUR_SECONDS)]
    path = write_video(tmp_path / "gap.mkv", times)
    with FrameStream(path, fps=5, short_side=96) as stream:
        child, most = psutil.Process(stream._process.pid), []
        assert sum(1 for k, _ in enumerate(stream.frames()) if k % 2000 or most.append(child.memory_info().rss) is None)
    assert max(most) - most[0] < 64 * 2**20  # of 20 000 frames of 37 kB


@pytest.mark.parametrize("key_frame", [True, False])
def test_a_time_of_days_in_a_file_of_seconds_is_not_believed(tmp_path, decoder, key_frame):
    path = write_video(tmp_path / "wild.mkv", FOUR_SECONDS, gop=10)
    wild, written = (50 if key_frame else 55), io.BytesIO()
    with av.open(str(path)) as source, av.open(written, "w", format="matroska") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.stream = stream
            if number >= wild:
                packet.pts = packet.dts = packet.pts + 3 * 86400 * 1000
            target.mux(packet)
    data = bytearray(written.getvalue())
    at = data.index(b"\x44\x89\x88") + 3  # Duration
    data[at : at + 8] = struct.pack(">d", 4000.0)
    path.write_bytes(data)

    with pytest.warns(DecoderWarning, match=r"wild.mkv: timestamps jump from 2\.\d s to 25920\d\.\d s, .*at 4.0 s"):
        found = numbers(path, decoder)
    assert found == list(range(100))


def short_header(path: Path, fields: Sequence[tuple[bytes, int]], divisor: int) -> Path:
    """Divide numbers of a header, at an offset from their box's name."""
    data = bytearray(path.read_bytes())
    byteorder = "little" if path.suffix == ".avi" else "big"
    for name, offset in fields:
        at = data.index(name) + offset
        value = int.from_bytes(data[at : at + 4], byteorder) // divisor
        data[at : at + 4] = value.to_bytes(4, byteorder)
    path.write_bytes(data)
    return path


MDHD, MVHD = (b"mdhd", 20), (b"mvhd", 20)
AVI_LENGTHS = ((b"avih", 24), (b"strh", 40))


def test_an_mp4_header_that_promises_too_little_is_not_the_end(tmp_path, decoder):
    options = {"container_options": {"movflags": "faststart"}}
    path = short_header(write_video(tmp_path / "short.mp4", FOUR_SECONDS, **options), [MDHD], 30)
    assert open_reader(path).info.duration == pytest.approx(4, abs=0.001)
    assert numbers(path, decoder) == list(range(100))
    with av.open(str(path)) as container:
        positions = [packet.pos for packet in container.demux(video=0) if packet.size]
    path.write_bytes(path.read_bytes()[: positions[75]])
    with pytest.raises(DecodeError, match=r"video data end at \S+ s of [34].\d s"):
        numbers(path, decoder)


def test_a_gap_of_a_day_in_an_mp4_of_seconds_is_not_believed(tmp_path, decoder):
    times = [time + 86400 * (k > 50) for k, time in enumerate(FOUR_SECONDS)]
    path = write_video(tmp_path / "wild.mp4", times, tick=Fraction(1, 1000))
    short_header(path, [MDHD, MVHD], 20000)
    with pytest.warns(DecoderWarning, match=r"timestamps jump from \S+ s to 8640\d.\d s, and .* ends at 4.3 s"):
        found = numbers(path, decoder)
    assert list(dict.fromkeys(found)) == list(range(100))
    assert len(found) == pytest.approx(104, abs=5)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_an_avi_header_that_promises_too_little_is_not_the_end(tmp_path, decoder, codec):
    path = write_video(tmp_path / "short.avi", FOUR_SECONDS, codec=codec, tick=Fraction(1, 25))
    short_header(path, AVI_LENGTHS, 2)
    assert open_reader(path).info.duration == 4
    assert numbers(path, decoder) == list(range(100))


def test_a_matroska_header_that_promises_too_little_is_not_the_end(tmp_path, decoder):
    path = write_video(tmp_path / "short.mkv", FOUR_SECONDS)
    data = bytearray(path.read_bytes())
    at = data.index(b"\x44\x89\x88") + 3
    data[at : at + 8] = struct.pack(">d", 1000.0)
    path.write_bytes(data)
    assert numbers(path, decoder) == list(range(100))


@pytest.mark.parametrize("options", [
    {"options": REORDERED}, {"options": OPEN_GOP}, {"codec": "mpeg4", "b_frames": 2}, {"codec": "mpeg4"},
])  # fmt: skip
@pytest.mark.parametrize("start", [None, 2.4, 5.0])
def test_without_stored_display_times_frames_come_in_order(tmp_path, decoder, options, start):
    path = write_video(tmp_path / "clip.avi", constant_times(25, 200), tick=Fraction(1, 25), **options)
    assert numbers(path, decoder, start=start) == list(range(round(25 * (start or 0)), 200))


def test_frames_lost_in_an_avi_do_not_shift_those_after_the_next_key_frame(tmp_path):
    path = write_video(tmp_path / "clip.avi", FOUR_SECONDS, tick=Fraction(1, 25), options=REORDERED)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for packet in packets[22:26]:
        data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(data)
    found = numbers(path)
    assert found[:20] == list(range(20))
    assert found[41:] == list(range(41, 100))


def test_a_decoder_that_gives_up_says_why(tmp_path):
    pytest.importorskip("decord")
    path = write_video(tmp_path / "clip.gif", constant_times(10, 20), codec="gif", pix_fmt="rgb8", tick=Fraction(1, 10))
    with pytest.warns(DecoderWarning, match=r"clip.gif: decord cannot decode gif; PyAV decodes it \(.*'gif' codec\)$"):
        numbers(path, "decord")


@pytest.mark.parametrize(("decoder", "module", "place"), [
    ("decord", "decord.VideoReader", "[10:20:30] /build/video/reader.cc:151: "),
    ("torchcodec", "torchcodec.decoders.VideoDecoder", "decode_frame, /build/Decoder.cpp:1493, "),
])  # fmt: skip
def test_a_decoders_reason_comes_without_the_place_in_its_source(tmp_path, monkeypatch, decoder, module, place):
    skip_without(decoder)
    path = write_video(tmp_path / "clip.mp4", FOUR_SECONDS)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"\n{place}Check failed: no room left\n\nStack trace:\n  a")

    monkeypatch.setattr(module, fail)
    monkeypatch.setattr("hasvideo.frames.decode.require_decoder", lambda _: None)  # it would fail on its own picture
    with pytest.warns(DecoderWarning, match=r"decode h264; PyAV decodes it \(Check failed: no room left\)$"):
        assert numbers(path, decoder) == list(range(100))
