"""Video that arrives only once and in order: standard input, named pipes, and network streams."""

from __future__ import annotations

import itertools
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NoReturn
from urllib.parse import urlsplit

from hasvideo.errors import DecodeError, UsageError
from hasvideo.frames.clock import Clock
from hasvideo.frames.container import THREADS, Container

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

STDIN = "-"
SCHEMES = ("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "tcp", "udp")
MOST_UNSTAMPED = 64  # frames at the beginning without a time, as those of RTSP cameras, that are left out
LONGEST_PAUSE = 300.0  # seconds; after a longer one between two packets a camera's clock was set


class StreamPath(type(Path())):  # type: ignore[misc]
    """A stream where a file's path is expected; ``str`` gives its name, without the password and query of its URL.

    Attributes:
        address: what libav is to open, or ``-``, or the path of a named pipe.
    """

    text = ""
    address = ""

    def __str__(self) -> str:
        return self.text or super().__str__()

    @property
    def stem(self) -> str:
        """Name of its outputs."""
        return "stdin" if self.address == STDIN else super().stem

    @property
    def is_pipe(self) -> bool:
        """Whether this process has to open it, as no other one can."""
        return "://" not in self.address


def as_source(source: str | Path) -> Path:
    """Make a :class:`StreamPath` of ``-``, a URL or a named pipe, and a path of anything else.

    Raises:
        UsageError: a URL of an unknown scheme.
    """
    if isinstance(source, StreamPath):
        return source
    text = str(source)
    scheme, separator, _ = text.partition("://")
    if isinstance(source, str) and separator and scheme.isalnum() and not Path(text).exists():
        if scheme.lower() not in SCHEMES:
            raise UsageError(f"cannot read {scheme}:// streams; accepted: {', '.join(SCHEMES)}, and files")
        parts = urlsplit(text)
        return stream_path(f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", text)
    if text == STDIN:
        return stream_path("standard input", text)
    if Path(text).is_fifo():
        return stream_path(text, text)
    return Path(text)


def stream_path(name: str, address: str) -> StreamPath:
    """Make a stream that is called by a name and that libav opens by an address."""
    path: StreamPath = StreamPath(name)
    path.text, path.address = name, address
    return path


def open_pipe(path: StreamPath) -> int:
    """Open standard input or a named pipe for a child process to read; wait until someone writes into the pipe.

    Raises:
        UsageError: standard input is a terminal.
        DecodeError: it cannot be opened.
    """
    if path.address == STDIN and sys.__stdin__ is not None and sys.__stdin__.isatty():
        raise UsageError("standard input is a terminal: pipe a video into it")
    try:
        return os.dup(0) if path.address == STDIN else os.open(path.address, os.O_RDONLY)
    except OSError as error:
        raise DecodeError(f"{path}: cannot be read ({error.strerror})") from error


def open_container(source: Path, progress: Callable[[], object]) -> Container:
    """Open a file or a stream; see :class:`hasvideo.frames.container.Container`."""
    return (LiveContainer if isinstance(source, StreamPath) else Container)(source, progress)


class LiveContainer(Container):
    """A stream: read once, in order, without an end that is known.

    Times are those of a file with the same content, but that a camera's clock may also jump ahead.
    """

    longest: ClassVar[float] = math.inf
    unreadable: ClassVar[str] = "no stream, or no video in it"
    look_threads: ClassVar[int] = THREADS
    _first: VideoFrame
    _frames: Iterator[VideoFrame]

    def decode(self, since: float) -> Iterator[tuple[float, float, VideoFrame]]:
        """Yield all frames with their times of display, seconds, whatever ``since``."""
        end = 0.0
        for frame in itertools.chain([self._first], self._frames):
            start = end if frame.pts is None else self.time(frame.pts)
            self.reached = end = start + self._length(frame)
            yield start, end, frame

    def _first_frame(self, container: InputContainer, stream: VideoStream) -> VideoFrame | None:
        self.reached = 0.0
        self._is_relayed = container.format.no_file or self._address()[0].startswith("rtmp")
        self._frames = self._decode(container, stream)
        first: VideoFrame | None = None
        for number, first in enumerate(itertools.islice(self._frames, MOST_UNSTAMPED)):
            self._frames_left_out, self._first = number, first
            if first.pts is not None:
                break
        return first

    def _start(self, container: InputContainer, stream: VideoStream, first: float) -> float:
        return super()._start(container, stream, first) if self._frames_left_out == 0 else first

    def _new_clock(self) -> Clock:
        return Clock(LONGEST_PAUSE) if self._is_relayed else super()._new_clock()

    def _leave(self, container: InputContainer) -> None:
        """Leave it open: a stream is opened once."""

    def _check(self) -> None:
        """Check nothing: whether a stream is there shows when it is opened."""

    def _address(self) -> tuple[str, dict[str, str]]:
        address: str = self.path.address  # type: ignore[attr-defined]
        if address.startswith("fd:"):
            return "fd:", {"fd": address[3:]}
        return address, {"rtsp_transport": "tcp"} if address.lower().startswith("rtsp") else {}

    def _duration(self, container: InputContainer, stream: VideoStream) -> float:
        return math.inf

    def _broken(self, error: Exception) -> NoReturn:
        reason = getattr(error, "strerror", None) or str(error)
        raise DecodeError(f"{self.path}: the stream broke off after {self.reached:.1f} s ({reason})") from error
