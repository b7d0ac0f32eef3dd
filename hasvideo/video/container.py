"""A video file as PyAV sees it: what it says of itself, its clock, and its packets, for whichever decoder."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hasvideo.errors import DecodeError
from hasvideo.types import VideoInfo

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

THREADS = 2  # for every decoder: the network needs the cores
END_TOLERANCE = 0.5  # seconds that may be missing at the end: headers often promise a few frames too many
LONGEST_DURATION = 30 * 24 * 3600.0  # seconds; beyond is a damaged header
LARGEST_ASPECT = 16  # long side over short side; beyond is a damaged header
STILL_BRANDS = ("avif", "heic", "heix", "mif1")  # ISO media files that hold photographs


class Container:
    """An opened video file.

    Time 0 is when the first frame goes on display, whatever its timestamp in the file.

    Args:
        path: the file.
        progress: called at every packet read: a sign of life for whoever waits.

    Attributes:
        info: what the file says of itself.
        codec: libav's name of the video's codec.
        longest: seconds; a longer duration is a damaged header.
        unreadable: what is said of a source that libav cannot open.
        look_threads: how many decode the first frame.

    Raises:
        DecodeError: the file is missing, is no video, or not one frame of it can be decoded.
    """

    longest: ClassVar[float] = LONGEST_DURATION
    unreadable: ClassVar[str] = "no video, or one that is damaged or cut off"
    # Closing waits for the decoder's threads and holds Python's lock, which a thread that logs something waits for.
    look_threads: ClassVar[int] = 1

    def __init__(self, path: Path, progress: Callable[[], object]) -> None:
        self.path, self.progress = path, progress
        container, stream = self._open(self.look_threads)
        try:
            self._learn(container, stream)
        finally:
            self._leave(container)

    def _learn(self, container: InputContainer, stream: VideoStream) -> None:
        first = self._first_frame(container, stream)
        if first is None:
            raise DecodeError(f"{self.path}: no frame can be decoded: the file is damaged or cut off")
        if first.pts is None or stream.time_base is None:
            reason = "a bare stream without timestamps: pack it first, ffmpeg -i IN -c copy OUT.mkv"
            raise DecodeError(f"{self.path}: {reason}")
        self._stream_index = stream.index
        self._tick, self._zero = float(stream.time_base), first.pts
        self._rate = float(stream.average_rate or stream.guessed_rate or stream.base_rate or 25)
        self.codec = stream.codec_context.codec.canonical_name
        self.info = self._describe(container, stream, first)

    def _leave(self, container: InputContainer) -> None:
        """Free libav's index of the file, 3 MiB for an hour of MP4, now: only garbage collection would do it."""
        container.close()

    def time(self, ticks: int) -> float:
        """Seconds since the first frame."""
        return (ticks - self._zero) * self._tick

    def shown_at(self, packet: Packet) -> int:
        """When a packet's frame goes on display, in ticks."""
        return (packet.dts or 0) if packet.pts is None else packet.pts

    def display_time(self, packet: Packet) -> tuple[float, float]:
        """From when to when a packet's frame is on display, seconds; before time 0 for one that is not to be shown."""
        start = -math.inf if packet.is_discard else self.time(self.shown_at(packet))
        return start, start + self._length(packet)

    def decode(self, since: float) -> Iterator[tuple[float, float, VideoFrame]]:
        """Yield frames from one shown at ``since`` or earlier on, with their times of display, seconds."""
        end = 0.0
        for frame in _decode(self.packets(since)):
            start = end if frame.pts is None else self.time(frame.pts)
            end = start + self._length(frame)
            yield start, end, frame

    def packets(self, since: float) -> Iterator[Packet]:
        """Yield packets in decode order, from a key frame shown at ``since`` or earlier to the end of readable data."""
        for margin in (1.0, 10.0, 60.0, math.inf):
            packets = itertools.dropwhile(lambda packet: not packet.is_keyframe, self._read(since - margin))
            first = next(packets, None)
            if first is not None and self.time(self.shown_at(first)) <= since:
                break
        if first is not None:
            yield first
            yield from packets

    def end_error(self, wanted: float) -> DecodeError:
        """Say why there is no frame for the time ``wanted``."""
        end, _ = self._data_ends(-math.inf)
        readable = math.floor(min(end, wanted) * 10) / 10
        what = "video data end" if end < wanted else "no frame can be decoded any more"
        hint = f"; --end {readable:g} reads the readable part" if readable > 0 else ""
        return DecodeError(
            f"{self.path}: {what} at {readable:g} s of {self.info.duration:.1f} s: "
            f"the file is truncated or damaged{hint}"
        )

    def _length(self, item: Packet | VideoFrame) -> float:
        return float(item.duration * item.time_base) if item.duration and item.time_base else 1 / self._rate

    def _first_frame(self, container: InputContainer, stream: VideoStream) -> VideoFrame | None:
        return next(self._decode(container, stream), None)

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        return _decode(self._demux(container, stream))

    def _check(self) -> None:
        if not self.path.exists():
            raise DecodeError(f"{self.path}: no such file")
        if not self.path.is_file():
            raise DecodeError(f"{self.path}: a folder or device, not a file")
        if self.path.stat().st_size == 0:
            raise DecodeError(f"{self.path}: the file is empty")

    def _address(self) -> tuple[str, dict[str, str]]:
        """What libav opens, with its options."""
        return f"file:{self.path}", {}

    def _open(self, threads: int = THREADS) -> tuple[InputContainer, VideoStream]:
        import av

        self._check()
        address, options = self._address()
        try:
            with _libav_log() as log:
                container = av.open(address, options=options, **_any_metadata())
        except PermissionError as error:
            raise DecodeError(f"{self.path}: no permission to read it") from error
        except (av.FFmpegError, ValueError) as error:
            reason = log[-1][2].strip() if log else getattr(error, "strerror", None) or str(error)
            raise DecodeError(f"{self.path}: {self.unreadable} ({reason.replace(address, str(self.path))})") from error
        stream = self._video_stream(container)
        stream.thread_count = threads
        stream.thread_type = "AUTO"
        return container, stream

    def _video_stream(self, container: InputContainer) -> VideoStream:
        import av.stream

        kind, brand = container.format.name, container.metadata.get("major_brand", "").strip()
        if kind == "image2" or kind.endswith("_pipe") or brand in STILL_BRANDS:
            raise DecodeError(f"{self.path}: a still image, not a video")
        cover = av.stream.Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & cover]
        if not streams or kind == "tty":  # libav sees text as a film of letters
            raise DecodeError(f"{self.path}: holds no video{', only sound' if container.streams.audio else ''}")
        best = container.streams.best("video")
        stream = next((stream for stream in streams if stream is best), streams[0])
        if stream.codec_context is None:
            raise DecodeError(f"{self.path}: its video is in a codec that is not known here")
        return stream

    def _describe(self, container: InputContainer, stream: VideoStream, first: VideoFrame) -> VideoInfo:
        width, height = first.width * _pixel_aspect(stream), float(first.height)
        rotation = round(-first.rotation / 90) * 90 % 360
        if rotation in (90, 270):
            width, height = height, width
        if not 1 / LARGEST_ASPECT <= width / height <= LARGEST_ASPECT:
            raise DecodeError(f"{self.path}: frames of {width:.0f} x {height:.0f} pixels: the header is damaged")
        duration = self._duration(container, stream)
        if not 0 < duration <= self.longest:
            raise DecodeError(f"{self.path}: a duration of {duration:.0f} s: the header is damaged")
        return VideoInfo(self.path, duration, self._rate, round(width), round(height), rotation)

    def _duration(self, container: InputContainer, stream: VideoStream) -> float:
        """Seconds of video that the file promises."""
        if stream.duration and container.format.name.startswith(("mov", "avi")):
            return stream.duration * self._tick
        whole = (container.duration or 0) / 1e6
        video, every_stream = self._data_ends(whole - 10 if whole else -math.inf)
        # A video that ends before the container does is whole if the sound goes on, and truncated if not.
        return video if every_stream >= whole - END_TOLERANCE else whole

    def _data_ends(self, since: float) -> tuple[float, float]:
        """When the last readable packets end, of the video and of any stream, if those end after about ``since``."""
        zero = self._zero * self._tick
        video = every_stream = 0.0
        for packet in self._read(since, every_stream=True):
            end = float(self.shown_at(packet) * packet.time_base) - zero + self._length(packet)
            every_stream = max(every_stream, end)
            if packet.stream_index == self._stream_index:
                video = max(video, end)
        return video, every_stream

    def _read(self, since: float, every_stream: bool = False) -> Iterator[Packet]:
        """Yield packets from about ``since``, as well as the container can seek."""
        import av

        container, stream = self._open()
        if since > 0:
            try:
                container.seek(self._zero + int(since / self._tick), stream=stream)
            except av.FFmpegError:
                container, stream = self._open()
        return self._demux(container, None if every_stream else stream)

    def _broken(self, error: Exception) -> None:
        """The data are unreadable from here on; of a file, whether that matters depends on how much is missing."""

    def _demux(self, container: InputContainer, stream: VideoStream | None) -> Iterator[Packet]:
        import av

        packets: Iterator[Packet] = container.demux() if stream is None else container.demux(stream)
        while True:
            self.progress()
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                self._broken(error)
                return
            if packet is None:
                return
            if packet.size and not packet.is_corrupt:
                yield packet


@contextmanager
def _libav_log() -> Iterator[list[tuple[int, str, str]]]:
    """Collect libav's errors, which say more than its error codes: (level, component, message) each."""
    import av.logging

    level, skip = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as log:
            yield log
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skip)


def _any_metadata() -> dict[str, Any]:
    """The option by which PyAV opens files whose metadata is not UTF-8: from version 19 on it does so unasked."""
    import av

    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def _decode(packets: Iterable[Packet]) -> Iterator[VideoFrame]:
    """Yield the frames of one stream's packets in display order; what cannot be decoded is left out."""
    import av

    context = None
    for packet in packets:
        context = packet.stream.codec_context
        try:
            frames = context.decode(packet)
        except av.FFmpegError:
            continue
        yield from frames
    if context is not None:
        try:
            yield from context.decode(None)
        except av.FFmpegError:
            return


def _pixel_aspect(stream: VideoStream) -> float:
    """Width over height of a pixel."""
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 0.25 <= aspect <= 4 else 1.0
