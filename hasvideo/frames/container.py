"""A video file as PyAV sees it: what it says of itself, its clock, and its packets, for whichever decoder."""

from __future__ import annotations

import heapq
import itertools
import math
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hasvideo.errors import DecodeError
from hasvideo.frames.clock import Clock
from hasvideo.frames.images import WEBP_ADVICE, is_animated_webp
from hasvideo.types import VideoInfo

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

THREADS = 2  # for every decoder: the network needs the cores
END_TOLERANCE = 0.5  # seconds that may be missing at the end: headers often promise a few frames too many
LONGEST_DURATION = 30 * 24 * 3600.0  # seconds; beyond is a damaged header
TAIL = 10.0  # seconds before the end that is promised from which packets are read to find the true one
LONGEST_JUMP = 10.0  # seconds; where recordings are joined at will (TS, VOB) a longer one sets the clock, as in FFmpeg
LONGEST_GAP = 300.0  # seconds; elsewhere a longer one that goes beyond the file's own duration is a damaged timestamp
LONGEST_PROMISED = 30 * 3600.0  # seconds; the same where the file states no duration, as in FFmpeg
LARGEST_ASPECT = 16  # long side over short side; beyond is a damaged header
COUNT_FROM_0 = ("mov", "matroska", "ogg")  # what browsers play, and do not move to 0 where nothing starts there
STILL_BRANDS = ("avif", "heic", "heix", "mif1")  # ISO media files that hold photographs
MOST_SKIPPED = 1000  # packets held while the key frame to start from is looked for
TS_DISCONT = 0x200  # libav's flag of formats whose clock may be set back in the middle (AVFMT_TS_DISCONT)
NOPARSE = 0x20 | 0x10  # libav's flags to hand on packets as they are stored (AVFMT_FLAG_NOPARSE, _NOFILLIN)
GENPTS = 0x1  # libav's flag that makes it guess presentation times, wrongly where frames are reordered


class DecoderWarning(UserWarning):
    """A video is not decoded quite as asked for: by another decoder, or with times that are not the file's."""


class Container:
    """An opened video file.

    Time 0 is what players call 0: of MP4, Matroska, WebM and Ogg the 0 of the file's clock, else the start of video or
    sound, whichever is earlier. A clock that is set on the way goes on.

    Args:
        path: the file.
        progress: called at every packet read: a sign of life for whoever waits.

    Attributes:
        info: what the file says of itself.
        codec: libav's name of the video's codec.
        is_by_order: whether display times are to be told from the order of decoded frames, as none are stored.
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
        self._stream_index = stream.index
        self._may_jump = bool(container.format.flags & TS_DISCONT)
        self._tick = float(stream.time_base or 0)
        self._states = 0.0 if self._may_jump else _stated_duration(container)
        self._jumps = self._told = False
        first = self._first_frame(container, stream)
        if first is None:
            raise DecodeError(f"{self.path}: no frame can be decoded: the file is damaged or cut off")
        if first.pts is None or stream.time_base is None:
            reason = "a bare stream without timestamps: pack it first, ffmpeg -i IN -c copy OUT.mkv"
            raise DecodeError(f"{self.path}: {reason}")
        self._zero = self._start(container, stream, first.pts * self._tick)
        self.is_by_order = not self._is_timed and stream.codec_context.has_b_frames
        self._rate = float(stream.average_rate or stream.guessed_rate or stream.base_rate or 25)
        self.codec = stream.codec_context.codec.canonical_name
        self.info = self._describe(container, stream, first)

    def _start(self, container: InputContainer, stream: VideoStream, first: float) -> float:
        """Find time 0 by the file's clock, seconds: 0 in formats that count from it, else a stream's earliest start.

        What starts far from 0 was cut out of a broadcast, whatever its format.
        """
        began = first if self._clock.began is None else self._clock.began
        starts = [
            float(other.start_time * other.time_base)
            for other in (stream, *container.streams.audio)
            if other.start_time is not None and other.time_base is not None
        ]
        if self._may_jump:  # another clock may be another programme's
            starts = [start for start in starts if abs(start - began) <= LONGEST_JUMP]
        earliest = max(min(starts, default=first), 0.0)  # sound before 0 primes its decoder and is not heard
        counts_from_0 = container.format.name.startswith(COUNT_FROM_0) and earliest <= LONGEST_GAP
        return min(first, 0.0 if counts_from_0 else earliest)

    def _leave(self, container: InputContainer) -> None:
        """Free libav's index of the file, 3 MiB for an hour of MP4, now: only garbage collection would do it."""
        container.close()

    def time(self, ticks: int) -> float:
        """Convert ticks to seconds since the container's start."""
        return ticks * self._tick - self._zero

    def shown_at(self, packet: Packet) -> int:
        """Tell when a packet's frame goes on display, in ticks."""
        return (packet.dts or 0) if packet.pts is None else packet.pts

    def display_time(self, packet: Packet) -> tuple[float, float]:
        """Tell from when to when a packet's frame is on display, seconds; -inf is the start of one not to be shown."""
        start = -math.inf if packet.is_discard else self.time(self.shown_at(packet))
        return start, start + self._length(packet)

    def decode(self, since: float) -> Iterator[tuple[float, float, VideoFrame]]:
        """Yield frames from one shown at ``since`` or earlier on, with their times of display, seconds."""
        end = 0.0
        packets = self.packets(since)
        if self.is_by_order:  # of the first group some frames may lack, and those that come are early by as many
            packets = self.packets(self.time(next(packets).dts or 0) - self._tick)
        for frame in _decode(packets):
            start = end if frame.pts is None else self.time(frame.pts)
            end = start + self._length(frame)
            yield start, end, frame

    def packets(self, since: float) -> Iterator[Packet]:
        """Yield packets in decode order, from a key frame shown at ``since`` or earlier to the end of readable data."""
        for margin in (1.0, 10.0, 60.0, math.inf):
            packets = self._from_key_frame(self._demux(self._open_at(since - margin)), since)
            first = next(packets, None)
            if self._reads_all(since - margin) or (first is not None and self.time(self.shown_at(first)) <= since):
                break
        if first is not None:
            yield first
            yield from packets

    def _from_key_frame(self, packets: Iterator[Packet], since: float) -> Iterator[Packet]:
        """Drop what comes before the last key frame shown at ``since`` or earlier, or before the first of all."""
        run: list[Packet] = []
        for packet in packets:
            if packet.is_keyframe and (not run or self.time(self.shown_at(packet)) <= since):
                run = []
            if run or packet.is_keyframe:
                run.append(packet)
            decoded_at = packet.pts if packet.dts is None else packet.dts
            if len(run) == MOST_SKIPPED or (run and decoded_at is not None and self.time(decoded_at) > since):
                break
        yield from run
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
        length = float(item.duration * item.time_base) if item.duration and item.time_base else 0.0
        return length if 0 < length <= max(self._states, LONGEST_GAP) else 1 / self._rate

    def _first_frame(self, container: InputContainer, stream: VideoStream) -> VideoFrame | None:
        return next(self._decode(container, stream), None)

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        return _decode(self._demux(container))

    def _check(self) -> None:
        if not self.path.exists():
            raise DecodeError(f"{self.path}: no such file")
        if not self.path.is_file():
            raise DecodeError(f"{self.path}: a folder or device, not a file")
        if self.path.stat().st_size == 0:
            raise DecodeError(f"{self.path}: the file is empty")

    def _address(self) -> tuple[str, dict[str, str]]:
        """Return what libav opens, with its options."""
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
        container.flags &= ~GENPTS  # see _guess_times
        stream.thread_count = threads
        stream.thread_type = "AUTO"
        return container, stream

    def _video_stream(self, container: InputContainer) -> VideoStream:
        import av.stream

        kind, brand = container.format.name, container.metadata.get("major_brand", "").strip()
        if kind == "image2" or kind.endswith("_pipe") or brand in STILL_BRANDS:
            what = f"an animated WebP, {WEBP_ADVICE}" if is_animated_webp(self.path) else "a still image, not a video"
            raise DecodeError(f"{self.path}: {what}")
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
        """Find the seconds of video from the container's start: what the file promises, or more if there is more."""
        self._jumps = self._may_jump and self._is_clock_set()
        promised, whole = self._promises(container, stream)
        video, every_stream = self._data_ends(max(promised, whole) - TAIL)
        self._jumps = self._clock.was_set
        if not video:
            video, every_stream = self._data_ends(-math.inf)
        if promised:
            return max(promised, video)
        # A video that ends before the container does is whole if the sound goes on, and truncated if not.
        return video if every_stream >= whole - END_TOLERANCE else whole

    def _is_clock_set(self) -> bool:
        """Tell whether the clock is set anywhere; unparsed, an hour is read in a second."""
        container, _ = self._open()
        try:
            container.flags |= NOPARSE
            container.seek(0, unsupported_byte_offset=True)  # starts anew, without parsers
            return any(self._clock.was_set for _ in self._demux(container, every_stream=True))
        finally:
            self._leave(container)

    def _promises(self, container: InputContainer, stream: VideoStream) -> tuple[float, float]:
        """Find when video and file are to end by headers and index, seconds; 0 where nothing reliable is said."""
        if self._may_jump:  # libav's own estimate, from the last packets, misses what came before the clock was set
            estimate = 0 if self._jumps else (container.start_time or 0) + (container.duration or 0)
            return 0.0, estimate / 1e6 - self._zero
        whole = self._states - self._zero
        if not (stream.duration and container.format.name.startswith(("mov", "avi"))):
            return 0.0, whole
        header = index = self.time((stream.start_time or 0) + stream.duration)
        if len(stream.index_entries):
            index = self.time(stream.index_entries[-1].timestamp)
        # What is far beyond the header may be a damaged timestamp: reading on from the header's end will show.
        return (max(header, index) if index - header <= LONGEST_GAP else header), 0.0

    def _data_ends(self, since: float) -> tuple[float, float]:
        """Find when the last readable packets end, of the video and of any stream, reading from about ``since``."""
        video = every_stream = last = 0.0
        container = self._open_at(since)
        try:
            for packet in self._demux(container, every_stream=True):
                start = float(self.shown_at(packet) * packet.time_base) - self._zero
                every_stream = max(every_stream, start)
                is_shown = packet.stream_index == self._stream_index and not packet.is_discard
                if is_shown and start >= last:  # MP4 stores no duration of display, but to the next one in the file
                    last, video = start, start + self._length(packet)
                elif not is_shown:
                    every_stream = max(every_stream, start + self._length(packet))
        finally:
            self._leave(container)
        return video, max(video, every_stream)

    def _reads_all(self, since: float) -> bool:
        """Tell whether packets from ``since`` on are read from the beginning: also where the clock was set."""
        return since <= 0 or self._jumps

    def _open_at(self, since: float) -> InputContainer:
        """Open the file for reading packets from about ``since``, as well as the container can seek."""
        import av

        container, stream = self._open()
        if not self._reads_all(since):
            try:
                container.seek(int((since + self._zero) / self._tick), stream=stream)
            except av.FFmpegError:
                container, stream = self._open()
        return container

    def _broken(self, error: Exception) -> None:
        """Accept that the data are unreadable from here on: of a file, it matters only if much is missing."""

    def _new_clock(self) -> Clock:
        if self._may_jump:
            return Clock(LONGEST_JUMP, joined=True)
        if self._states:
            return Clock(LONGEST_GAP, self._states, tell=self._tell_of_jump)
        return Clock(LONGEST_PROMISED, tell=self._tell_of_jump)

    def _tell_of_jump(self, before: float, after: float) -> None:
        if not self._told:
            self._told = True
            says = f", and the file says that it ends at {self._states:.1f} s" if self._states else ""
            text = f"timestamps jump from {before:.1f} s to {after:.1f} s{says}: read as going on without a pause"
            warnings.warn(f"{self.path}: {text}", DecoderWarning, stacklevel=2)

    def _demux(self, container: InputContainer, every_stream: bool = False) -> Iterator[Packet]:
        clock = self._clock = self._new_clock()
        clocked = {self._stream_index, *(stream.index for stream in container.streams.audio)}
        for packet in self._packets(container):
            video = packet.stream_index == self._stream_index
            if video:
                self._guess_times(container, packet)
            if packet.stream_index in clocked:
                clock.adjust(packet)
            if video or every_stream:
                yield packet

    def _guess_times(self, container: InputContainer, packet: Packet) -> None:
        """Let libav fill in presentation times, but where the format stores none: there it is order that tells them."""
        if not container.flags & GENPTS:
            self._is_timed = container.format.name != "avi" and (packet.pts is not None or packet.dts is None)
            container.flags |= GENPTS if self._is_timed else 0
        if not self._is_timed:
            packet.pts = None

    def _packets(self, container: InputContainer) -> Iterator[Packet]:
        import av

        packets = container.demux()
        while True:
            self.progress()
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                self._broken(error)
                return
            if packet is None:
                return
            # A frame cut off by the end of the file is marked so, but in TS also a whole one before recordings join.
            if packet.size and (self._may_jump or not packet.is_corrupt):
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
    """Return the option to open files whose metadata is not UTF-8: PyAV 19 opens them without it."""
    import av

    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def _stated_duration(container: InputContainer) -> float:
    """Return the seconds that a file's header states; 0 where it states none.

    WMV gives a stream that starts late the duration of the whole file, and libav adds the late start to it.
    """
    streams = [float(s.duration * s.time_base) for s in container.streams if s.duration and s.time_base]
    return min((container.duration or 0) / 1e6, max(streams, default=math.inf))


class _Slots:
    """Display times for frames of a stream that stores none: the decoding times, in the order of display.

    A frame carries its packet's decoding time, which tells when a frame was never decoded: what comes before a key
    frame is shown before it and before all that follow it.
    """

    def __init__(self) -> None:
        self._free: list[int] = []
        self._keys: deque[int] = deque()

    def enter(self, packet: Packet) -> None:
        """Note a packet that is about to be decoded."""
        if packet.pts is None and packet.dts is not None:
            packet.pts = packet.dts
            heapq.heappush(self._free, packet.dts)
            if packet.is_keyframe:
                self._keys.append(packet.dts)

    def stamp(self, frame: VideoFrame) -> None:
        """Set a decoded frame's time."""
        if not self._free or frame.pts is None:
            return
        while len(self._keys) > 1 and self._keys[1] <= frame.pts:
            self._keys.popleft()
        while self._keys and self._keys[0] <= frame.pts and len(self._free) > 1 and self._free[0] < self._keys[0]:
            heapq.heappop(self._free)
        frame.pts = heapq.heappop(self._free)


def _decode(packets: Iterable[Packet]) -> Iterator[VideoFrame]:
    """Yield the frames of one stream's packets in display order; what cannot be decoded is left out."""
    import av

    context, slots = None, _Slots()
    for packet in itertools.chain(packets, [None]):
        if packet is not None:
            context = packet.stream.codec_context
            slots.enter(packet)
        if context is None:
            return
        try:
            frames = context.decode(packet)
        except av.FFmpegError:
            continue
        for frame in frames:
            slots.stamp(frame)
            yield frame


def _pixel_aspect(stream: VideoStream) -> float:
    """Return width over height of a pixel."""
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 0.25 <= aspect <= 4 else 1.0
