"""Makers of small test videos, by PyAV alone. Every frame carries its number, legible after scaling and compression."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hasvideo.errors import UsageError
from hasvideo.frames.decode import require_decoder
from tests.system import lacks

TICK = Fraction(1, 90000)
BITS = 16
COLUMNS = 8  # cells of the pattern across; its upper half holds the bits, its lower half their complements
ROWS = 4


def skip_without(decoder: str) -> None:
    """Skip the test where a decoder is not there; PyAV always is."""
    if decoder == "decord":
        pytest.importorskip("decord", exc_type=Exception)
    try:
        require_decoder(decoder)
    except UsageError as error:
        if "FFmpeg's shared libraries" not in str(error):
            pytest.skip(str(error))
        lacks("FFmpeg's shared libraries, for torchcodec", "ffmpeg")


def draw_number(number: int, width: int = 128, height: int = 96) -> np.ndarray:
    """An RGB image ``(height, width, 3)`` that shows ``number`` (0..65535) as black and white cells."""
    bits = (number >> np.arange(BITS)) & 1
    cells = np.concatenate([bits, 1 - bits]).reshape(ROWS, COLUMNS)
    rows = np.arange(height) * ROWS // height
    columns = np.arange(width) * COLUMNS // width
    return np.repeat((cells[np.ix_(rows, columns)] * 255).astype(np.uint8)[..., None], 3, axis=2)


def read_number(image: np.ndarray) -> int | None:
    """The number that an image shows, at any size; None if it shows none (or is turned, or torn)."""
    height, width = image.shape[:2]
    rows = ((np.arange(ROWS) + 0.5) * height / ROWS).astype(int)
    columns = ((np.arange(COLUMNS) + 0.5) * width / COLUMNS).astype(int)
    cells = image.mean(axis=2)[np.ix_(rows, columns)].ravel() > 127
    bits, complement = cells[:BITS], cells[BITS:]
    return int((bits << np.arange(BITS)).sum()) if (bits != complement).all() else None


def read_numbers(chunks: Iterable[np.ndarray]) -> list[int | None]:
    """The number of every frame of chunks ``(n, height, width, 3)``."""
    return [read_number(image) for chunk in chunks for image in chunk]


def constant_times(fps: float | Fraction, count: int) -> list[Fraction]:
    """Borders (count + 1) of the display times of ``count`` frames, seconds."""
    return [Fraction(i) / Fraction(fps) for i in range(count + 1)]


def variable_times(count: int, seed: int = 0, shortest: float = 0.01, longest: float = 0.2) -> list[Fraction]:
    """Borders (count + 1) of the display times of frames of random duration, seconds, in whole milliseconds."""
    rng = random.Random(seed)
    times = [Fraction(0)]
    for _ in range(count):
        times.append(times[-1] + Fraction(round(rng.uniform(shortest, longest) * 1000), 1000))
    return times


def number_at(times: Sequence[Fraction | float], time: float) -> int:
    """The frame on display at ``time``, given the borders of the display times."""
    return max(0, min(int(np.searchsorted(np.array(times, float), time, side="right")) - 1, len(times) - 2))


def expected_numbers(times: Sequence[Fraction], fps: float, start: float = 0.0, end: float | None = None) -> list[int]:
    """The frames on display in the middles of the cells of ``1/fps`` seconds from ``start`` to ``end``."""
    stop = float(times[-1]) if end is None else min(end, float(times[-1]))
    count = max(1, int(np.ceil((stop - start) * fps - 0.5)))
    return [number_at(times, start + (k + 0.5) / fps + 1e-5) for k in range(count)]


def write_video(
    path: Path,
    times: Sequence[Fraction],
    *,
    width: int = 128,
    height: int = 96,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    gop: int = 12,
    b_frames: int = 0,
    rotation: int = 0,
    first_time: float = 0.0,
    sound: float = 0.0,
    sound_from: float = 0.0,
    tick: Fraction = TICK,
    pixel_aspect: Fraction | None = None,
    images: np.ndarray | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write frames 0, 1, ..., the i-th on display from ``times[i]`` to ``times[i + 1]`` (seconds).

    Args:
        path: target; its suffix chooses the container.
        width, height: pixels as stored; with a ``rotation`` of 90 or 270 the players show them swapped.
        gop: frames from key frame to key frame.
        b_frames: frames between two reference frames.
        rotation: degrees clockwise that players are told to turn the frames; numbers are legible after that.
        first_time: seconds added to all timestamps.
        sound: seconds of sound (a tone); 0 for no sound track.
        sound_from: when the sound starts, seconds.
        tick: the encoder's time base, seconds; some codecs need a coarse one.
        pixel_aspect: width over height of a pixel.
        images: RGB ``(n, height, width, 3)`` to show instead of numbers.
        options: the encoder's own.
        container_options: the container's own.
    """
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=30, options=options or _fast(codec))
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.gop_size, stream.max_b_frames = gop, b_frames
        stream.codec_context.time_base = stream.time_base = tick
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        sound_codec = "libopus" if path.suffix == ".webm" else "aac"
        tone = container.add_stream(sound_codec, rate=8000, layout="mono") if sound else None
        durations: dict[int, int] = {}
        for number, (begin, end) in enumerate(pairwise(times)):
            image = _stored_number(number, width, height, rotation) if images is None else images[number]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = round((begin + Fraction(first_time)) / tick)
            frame.time_base = tick
            durations[frame.pts] = round((end - begin) / tick)
            _mux(container, stream.encode(frame), durations)
        _mux(container, stream.encode(None), durations)
        if tone is not None:
            _write_tone(container, tone, sound, sound_from)
    if rotation:
        _set_rotation(path, rotation)
    return path


def _stored_number(number: int, width: int, height: int, rotation: int) -> np.ndarray:
    shown = (height, width) if rotation in (90, 270) else (width, height)
    return np.ascontiguousarray(np.rot90(draw_number(number, *shown), rotation // 90))


def _mux(container: Any, packets: Iterable[av.Packet], durations: dict[int, int]) -> None:
    for packet in packets:
        packet.duration = durations[packet.pts]  # encoders assume the nominal rate
        container.mux(packet)


def _fast(codec: str) -> dict[str, str]:
    return {"preset": "ultrafast", "tune": "fastdecode"} if codec in ("libx264", "libx265") else {}


def _write_tone(container: Any, stream: Any, seconds: float, since: float = 0.0) -> None:
    rate, size = 8000, 1024
    for first in range(0, int(seconds * rate), size):
        wave = np.sin(np.arange(first, first + size) * 440 * 2 * np.pi / rate).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, first + round(since * rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _set_rotation(path: Path, degrees: int) -> None:
    """Patch the display matrix of the (one) video track's header, as phones write it."""
    matrices = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
    a, b, c, d = matrices[degrees]
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # a version 0 header: 40 bytes from flags to matrix
    values = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], ">i4")
    data[matrix : matrix + 36] = values.tobytes()
    path.write_bytes(data)


def write_sound(path: Path, seconds: float = 1.0) -> Path:
    """A file that holds sound only."""
    with av.open(str(path), "w") as container:
        _write_tone(container, container.add_stream("aac", rate=8000, layout="mono"), seconds)
    return path


def flip_bytes(data: bytes, seed: int, flips: int = 8) -> bytes:
    """Damage ``flips`` random bytes."""
    rng = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(flips):
        damaged[rng.randrange(len(damaged))] ^= rng.randrange(1, 256)
    return bytes(damaged)
