"""Frames of a video at the times they are wanted, by one of three decoders that agree on what is shown when.

The rules, for all decoders:

- Time 0 is what players call 0: of MP4, Matroska, WebM and Ogg the 0 of the file's clock, else the start of the video
  or of the sound, whichever is earlier. A first picture that comes later is on display from 0 on, too.
- A frame stays until the next one comes, however long. A clock that is set on the way (recordings joined into one
  file) goes on where it was; :class:`hasvideo.frames.clock.Clock` has the rules.
- Output frame ``k`` is the source frame on display in the middle of its cell ``[start + k/fps, start + (k+1)/fps)``.
  So any constant or variable frame rate comes out with right times, and ``round(duration * fps)`` frames of them.
- Frames are upright (rotation metadata applied), in square pixels, and resized by the decoder.

decord keeps every frame that it has decoded until somebody asks for it, which is hundreds of megabytes with a slow
reader, and its frames carry no timestamps. So it is handed the video in small runs of packets that decode on their
own: that bounds its memory and leaves the timestamps to PyAV. Where decord cannot decode (AV1, damaged data, no wheel
for this machine) PyAV takes over, with a warning.

This module decodes in the calling process. A damaged file can hang or crash a decoder, so the rest of the package
uses :class:`hasvideo.frames.process.FrameStream`, which runs this module in a process of its own.
"""

from __future__ import annotations

import importlib
import io
import itertools
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hasvideo.errors import DecodeError, UsageError
from hasvideo.frames.container import END_TOLERANCE, THREADS, Container, DecoderWarning
from hasvideo.frames.live import StreamPath, as_source, open_container

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

DECODERS = ("decord", "pyav", "torchcodec")

TIE = 13e-6  # seconds; where a cell's middle is a frame's very start, rounding must not choose (13 µs is no usual tick)
SEGMENT_FRAMES = 64  # opening a segment in decord costs about as much as decoding two frames
SEGMENT_BYTES = 2**27  # of decoded frames; a longer run without a key frame is for PyAV, which needs no segments
BATCH = 16  # frames that torchcodec decodes at once
FFMPEG_LIBRARIES = "install FFmpeg with its libraries (apt install ffmpeg, brew install ffmpeg, conda install ffmpeg)"
# How Linux, macOS and Windows (which names no library) say that a library of FFmpeg's is not there.
NO_FFMPEG = re.compile(r"lib(av|sw)\w+\.so\S* cannot open|not loaded: \S*lib(av|sw)|Could not find module")

# As in "[10:20:30] /src/reader.cc:151: no room" of decord and "decode, /src/Decoder.cpp:1493, no room" of torchcodec.
_PLACE = re.compile(r"(\[[\d:]+\] \S+:\d+: |\w+, \S+:\d+, )")

Progress = Callable[[], object]


def open_reader(
    path: str | Path,
    decoder: str = "decord",
    fps: float | None = 25.0,
    short_side: int | None = 256,
    start: float | None = None,
    end: float | None = None,
    progress: Progress = lambda: None,
) -> Reader:
    """Open a video for reading its frames in order.

    Args:
        path: video file, or the URL of a stream, or the :class:`hasvideo.frames.live.StreamPath` of a pipe; streams are
            always decoded by PyAV, and read from their beginning.
        decoder: one of ``DECODERS``.
        fps: frames per second to deliver; None for the file's average.
        short_side: pixels of the shorter side of the delivered frames, aspect kept; None for the file's size.
        start: seconds into the video to read from; None for its beginning.
        end: seconds into the video to read to; None for its end.
        progress: called at every sign of life, also while no frame is delivered.

    Raises:
        DecodeError: the file is missing, is no video, or cannot be decoded; a stream does not answer.
        UsageError: an unknown decoder, torchcodec for a stream or where it cannot decode, a number out of its range,
            or a start behind the video's end.
    """
    check_request(decoder, fps, short_side, start, end)
    source = as_source(path)
    decoder = load_decoder(decoder, source)
    return Reader(open_container(source, progress), decoder, fps, short_side, start, end)


def load_decoder(decoder: str, source: Path) -> str:
    """Load what will decode a source and return its name.

    Args:
        decoder: the one that was asked for. PyAV takes the place of decord, the default, for streams, and where decord
            has no wheel for the machine.
        source: of :func:`hasvideo.frames.live.as_source`.

    Raises:
        UsageError: torchcodec, which has to be asked for, is not there, or the source is a stream.
    """
    if isinstance(source, StreamPath):
        if decoder == "torchcodec":
            raise UsageError(f"{source}: PyAV decodes streams; torchcodec is for files")
        return "pyav"
    require_decoder(decoder)
    if decoder == "decord":
        try:
            importlib.import_module(decoder)
        except (ImportError, OSError, RuntimeError):
            warnings.warn("decord is not installed here: PyAV decodes instead", DecoderWarning, stacklevel=3)
            return "pyav"
    return decoder


def require_decoder(decoder: str) -> None:
    """Make sure, before any video is opened, that a decoder which has to be asked for is there.

    torchcodec decodes one picture: without FFmpeg's libraries it can be imported all the same.

    Raises:
        UsageError: an unknown decoder, or torchcodec where it is not installed or cannot decode, mostly for want of
            FFmpeg's shared libraries.
    """
    _check_decoder(decoder)
    if decoder != "torchcodec":
        return
    picture = io.BytesIO(b"YUV4MPEG2 W16 H16 F25:1\nFRAME\n" + bytes(16 * 16 * 3 // 2))
    try:
        _torchcodec_images(picture, 1, (16, 16), 1, lambda: None)
    except Exception as error:  # its error classes are not documented
        others = " and ".join(name for name in DECODERS if name != "torchcodec")
        raise UsageError(f"decoder torchcodec {_why_no_torchcodec(error)}; {others} need nothing more") from error


def _why_no_torchcodec(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("torchcodec"):
        return f"is not installed: pip install 'hasvideo[torchcodec]', and {FFMPEG_LIBRARIES}"
    attempts = re.split(r"FFmpeg version \d+:", str(error))[1:]  # it tries them all, and is loud about each
    telling = [attempt for attempt in attempts if not NO_FFMPEG.search(attempt)]
    if attempts and not telling:
        return f"lacks FFmpeg's shared libraries: {FFMPEG_LIBRARIES}"
    lines = (telling or [str(error)])[0].splitlines()
    reason = next((line for line in lines if "Error: " in line), next(filter(str.strip, lines), repr(error)))
    return f"cannot be used here ({reason.strip()}): it wants a PyTorch that fits its version, and FFmpeg's libraries"


def check_request(
    decoder: str, fps: float | None, short_side: int | None, start: float | None, end: float | None
) -> None:
    """Raise UsageError for what no video could fulfil."""
    _check_decoder(decoder)
    if fps is not None and not 0 < fps <= 1000:
        raise UsageError(f"fps must be above 0 and at most 1000, got {fps:g}")
    if short_side is not None and not 1 <= short_side <= 8192:
        raise UsageError(f"short side must be 1 to 8192 pixels, got {short_side}")
    if start is not None and not 0 <= start < math.inf:
        raise UsageError(f"start must be 0 or more seconds, got {start:g}")
    if end is not None and not (start or 0) < end:
        raise UsageError(f"end must be after start ({start or 0:g} s), got {end:g}")


def _check_decoder(decoder: str) -> None:
    if decoder not in DECODERS:
        raise UsageError(f"unknown decoder {decoder!r}; known: {', '.join(DECODERS)}")


class Reader:
    """Frames of one video on a regular grid of times; see :func:`open_reader`.

    Attributes:
        info: what the file says of itself.
        width: pixels of the delivered frames.
        height: pixels of the delivered frames.
        length: frames that will be delivered if the file holds what it promises; None for a stream.
    """

    def __init__(
        self,
        source: Container,
        decoder: str,
        fps: float | None,
        short_side: int | None,
        start: float | None,
        end: float | None,
    ) -> None:
        self.info, start = source.info, start or 0.0
        duration = self.info.duration
        if start >= duration:
            raise UsageError(f"{self.info.path}: start ({start:g} s) is after the end of the video ({duration:.2f} s)")
        stop = duration if end is None else min(end, duration)
        fps = fps or self.info.fps
        most = max(1, math.ceil((stop - start) * fps - 0.5)) if stop < math.inf else sys.maxsize
        self.length = most if duration < math.inf else None
        self.width, self.height = _fit(self.info.width, self.info.height, short_side)
        self._grid = _Grid(start, fps, most)
        self._source, self._decoder = source, decoder

    def frames(self) -> Iterator[np.ndarray]:
        """Yield ``length`` frames, uint8 RGB ``(height, width, 3)``; of a stream, those up to ``end`` or its own end.

        Raises:
            DecodeError: the data end before ``length`` frames were read, or a stream breaks off; what came before has
                been yielded.
        """
        delivered = 0
        for image in self._images():
            yield image
            delivered += 1
        if self.length is not None and delivered < self.length:
            raise self._source.end_error(self._grid.time(delivered))

    def chunks(self, size: int) -> Iterator[np.ndarray]:
        """Yield the same frames in arrays ``(n, height, width, 3)``, n = ``size`` but for the last."""
        return stack(self.frames(), size)

    def _images(self) -> Iterator[np.ndarray]:
        size, since = (self.width, self.height), self._grid.time(0)
        if self._decoder == "pyav" or self._source.is_by_order:
            frames = _pyav_frames(self._source, size, since)
        else:
            frames = _segment_frames(self._source, self._decoder, size, since)
        return _on_display(frames, self._grid)


def stack(frames: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Gather frames into arrays of ``size``; what was gathered before a DecodeError comes out before it."""
    chunk, filled = np.empty(0), 0
    failure: DecodeError | None = None
    try:
        for frame in frames:
            if filled == 0:
                chunk = np.empty((size, *frame.shape), frame.dtype)
            chunk[filled] = frame
            filled += 1
            if filled == size:
                yield chunk
                filled = 0
    except DecodeError as error:
        failure = error
    if filled:
        yield chunk[:filled]
    if failure is not None:
        raise failure


@dataclass(frozen=True)
class _Grid:
    """The times at which frames are wanted: the middles of ``length`` cells of ``1/fps`` seconds from ``start``."""

    start: float
    fps: float
    length: int

    def time(self, index: int) -> float:
        return self.start + (index + 0.5) / self.fps + TIE

    def before(self, time: float) -> int:
        """Count the times that lie before ``time``."""
        return min(max(0, math.ceil((time - TIE - self.start) * self.fps - 0.5)), self.length)


@dataclass(frozen=True)
class _Frame:
    """A decoded frame: from when to when (seconds) it is on display, and how to get its image."""

    start: float
    end: float
    image: Callable[[], np.ndarray]


def _on_display(frames: Iterable[_Frame], grid: _Grid) -> Iterator[np.ndarray]:
    """Yield the image on display at each time of the grid, until the frames or the grid end.

    A frame stays until the next one comes, whatever duration it claims; so does the last one, if no more than
    END_TOLERANCE is missing then.
    """
    done = 0
    current: _Frame | None = None
    for frame in frames:
        if current is not None:
            if frame.start < current.start:  # a damaged timestamp
                continue
            due = grid.before(frame.start)
            yield from _repeat(current, due - done)
            done = max(done, due)
            if done == grid.length:
                return
        current = frame
    if current is not None:
        complete = grid.before(current.end + END_TOLERANCE) == grid.length
        yield from _repeat(current, (grid.length if complete else grid.before(current.end)) - done)


def _repeat(frame: _Frame, times: int) -> Iterator[np.ndarray]:
    if times > 0:
        yield from itertools.repeat(frame.image(), times)


def _pyav_frames(source: Container, size: tuple[int, int], since: float) -> Iterator[_Frame]:
    from av.video.reformatter import VideoReformatter

    scaler = VideoReformatter()
    for start, end, frame in source.decode(since):
        yield _Frame(start, end, partial(_pyav_image, scaler, frame, size, source.info.rotation))


def _pyav_image(scaler: VideoReformatter, frame: VideoFrame, size: tuple[int, int], rotation: int) -> np.ndarray:
    width, height = _stored(size, rotation)
    scaled = scaler.reformat(frame, width, height, "rgb24", interpolation="BICUBIC")
    return _upright(scaled.to_ndarray(), rotation)


def _segment_frames(source: Container, decoder: str, size: tuple[int, int], since: float) -> Iterator[_Frame]:
    """Decode segment by segment; from the first one that the decoder cannot take, PyAV decodes the rest."""
    rotation = source.info.rotation
    read, container_format = _SEGMENT_READERS[decoder]
    done = -math.inf
    for segment in _segments(source, since, SEGMENT_BYTES // (3 * size[0] * size[1])):
        try:
            # The network waits for the first segment; later it keeps two cores busy, and a second thread only costs.
            threads = THREADS if done < 0 or (os.cpu_count() or 1) > THREADS else 1
            file, count = segment.remux(container_format), len(segment.shows)
            images = read(file, count, _stored(size, rotation), threads, source.progress)
        except Exception as error:  # their own classes are not documented, and PyAV tells what is wrong with the video
            rest = f"{source.codec} from {done:.1f} s on; PyAV does" if done > 0 else f"{source.codec}; PyAV decodes it"
            text = f"{source.path}: {decoder} cannot decode {rest} ({_own_words(error)})"
            warnings.warn(text, DecoderWarning, stacklevel=2)
            break
        for (start, end), image in zip(segment.shows, images, strict=True):
            if -math.inf < start < segment.until:
                yield _Frame(start, end, partial(_upright, image, rotation))
        done = segment.until
        del images  # before as many again are decoded
    if done < math.inf:
        yield from (frame for frame in _pyav_frames(source, size, max(done, since)) if frame.start >= done)


def _own_words(error: Exception) -> str:
    """Return a decoder's reason: its first line, without the place in its source and what it repeats of its stack."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return _PLACE.sub("", line) or type(error).__name__


def _decord_images(file: io.BytesIO, count: int, size: tuple[int, int], threads: int, progress: Progress) -> list[Any]:
    """Decode the ``count`` frames of a file.

    Raises:
        Exception: whatever decord raises. That includes frames missing (``fault_tol``), which it would else make up.
    """
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    reader = decord.VideoReader(file, width=size[0], height=size[1], num_threads=threads, fault_tol=1e-9)
    images = []
    for _ in range(count):
        images.append(reader.next())
        progress()
    return images


def _torchcodec_images(
    file: io.BytesIO, count: int, size: tuple[int, int], threads: int, progress: Progress
) -> list[Any]:
    """Decode the ``count`` frames of a file.

    Raises:
        Exception: whatever torchcodec raises.
    """
    from torchcodec.decoders import VideoDecoder  # type: ignore[attr-defined]
    from torchcodec.transforms import Resize  # type: ignore[attr-defined]

    scaled = [Resize(size[::-1])]
    decoder = VideoDecoder(file.getvalue(), dimension_order="NHWC", num_ffmpeg_threads=threads, transforms=scaled)
    images: list[Any] = []
    for first in range(0, count, BATCH):
        images.extend(decoder.get_frames_in_range(first, min(first + BATCH, count)).data)
        progress()
    return images


# With the format each is handed: decord needs one that tells duration and rate, torchcodec one that tells no rotation.
_SEGMENT_READERS = {"decord": (_decord_images, "matroska"), "torchcodec": (_torchcodec_images, "nut")}


class _Segment:
    """Packets of a video that decode on their own, in decode order.

    Attributes:
        shows: from when to when (seconds) each decoded frame is on display, in display order; what must not be shown
            starts at -inf.
        until: when the next segment takes over, seconds.
    """

    def __init__(self, source: Container, packets: list[Packet], until: float) -> None:
        self.until = until
        self._packets = packets
        self._order = sorted(range(len(packets)), key=lambda i: source.shown_at(packets[i]))
        in_display_order = [packets[i] for i in self._order]
        self.shows = [
            source.display_time(packet)
            for packet in in_display_order
            if not (source.codec == "vp8" and _is_hidden(packet))
        ]

    def remux(self, container_format: str) -> io.BytesIO:
        """Pack the packets as they are into a file in memory, as if at 25 frames per second."""
        import av

        ranks = np.argsort(self._order)
        delay = max(0, int((np.arange(len(ranks)) - ranks).max()))  # no frame may be shown before it is decoded
        file = io.BytesIO()
        with av.open(file, "w", format=container_format) as container:
            stream = container.add_stream_from_template(self._packets[0].stream, opaque=True, rate=Fraction(25))
            for number, (packet, rank) in enumerate(zip(self._packets, ranks.tolist(), strict=True)):
                copy = av.Packet(bytes(packet))
                copy.stream, copy.time_base, copy.is_keyframe = stream, Fraction(1, 25), packet.is_keyframe
                copy.pts, copy.dts, copy.duration = rank + delay, number, 1
                container.mux(copy)
        file.seek(0)
        return file


def _segments(source: Container, since: float, longest: int) -> Iterator[_Segment]:
    """Cut the packets into segments of some SEGMENT_FRAMES, at key frames; end before one longer than ``longest``.

    A key frame may be followed by frames that are shown before it and need the frames before it (an open GOP). So
    where it starts a segment, it and they also end the segment before.
    """
    shortest = min(SEGMENT_FRAMES, longest // 2)
    segment: list[Packet] = []
    border: list[Packet] = []  # the key frame that starts the next segment, and frames shown before it
    for packet in source.packets(since):
        if border and source.shown_at(packet) < source.shown_at(border[0]):
            border.append(packet)
            continue
        if border:
            shared = border if len(border) > 1 else []
            yield _Segment(source, segment + shared, source.time(source.shown_at(border[0])))
            segment, border = border[:1], []
        if packet.is_keyframe and len(segment) >= shortest:
            border.append(packet)
        elif not segment or source.shown_at(packet) >= source.shown_at(segment[0]):
            segment.append(packet)
        if len(segment) > longest:
            return
    if segment:
        yield _Segment(source, segment + border, math.inf)


def _is_hidden(packet: Packet) -> bool:
    """Tell whether a VP8 packet holds a frame that is not to be shown (RFC 6386, section 9.1: show_frame)."""
    return not bytes(packet)[0] & 0x10


def _fit(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """Scale so that the shorter side becomes ``short_side``; return width and height."""
    scale = 1.0 if short_side is None else short_side / min(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _stored(size: tuple[int, int], rotation: int) -> tuple[int, int]:
    """Return width and height before the rotation."""
    return size[::-1] if rotation in (90, 270) else size


def _upright(image: Any, rotation: int) -> np.ndarray:
    """Turn clockwise by ``rotation`` degrees an array of NumPy, PyTorch or decord."""
    pixels = image.asnumpy() if hasattr(image, "asnumpy") else np.asarray(image)
    return np.ascontiguousarray(np.rot90(pixels, -rotation // 90)) if rotation else pixels
