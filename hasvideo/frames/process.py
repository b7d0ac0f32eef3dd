"""Decoding in a process of its own: a damaged file may hang or crash the decoder, but not the program.

The child is a plain ``python -m hasvideo.frames.process`` (so a user's script needs no ``__main__`` guard). It
writes messages to a pipe: each is a line of JSON, ``[kind, content]``; after a ``frame`` come its pixels.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from hasvideo.errors import DecodeError, HasvideoError, UsageError
from hasvideo.frames.container import DecoderWarning
from hasvideo.frames.decode import Reader, check_request, load_decoder, stack
from hasvideo.frames.live import StreamPath, as_source, open_container, open_pipe, stream_path
from hasvideo.types import VideoInfo

TIMEOUT = 15.0  # seconds without a sign of life from the decoder
STREAM_TIMEOUT = 30.0  # seconds without data from the network
START_TIMEOUT = 60.0  # seconds for the child to start: torchcodec imports torch
QUEUE_BYTES = 2**25  # of frames read ahead
ALIVE_INTERVAL = 1.0  # seconds between two signs of life while there is nothing else to say

Message = tuple[str, Any]


class FrameStream:
    """Frames of a video, decoded by another process, ahead of use and in constant memory.

    Arguments are those of :func:`hasvideo.frames.decode.open_reader`. Use as a context manager::

        with FrameStream("video.mp4") as stream:
            print(stream.info.duration)
            for chunk in stream.chunks(64):  # uint8 RGB (n, height, width, 3)
                ...

    Attributes:
        info: what the file says of itself.
        width: pixels of the delivered frames.
        height: pixels of the delivered frames.
        length: frames that will be delivered if the file holds what it promises; None for a stream.

    Raises:
        DecodeError: the file cannot be decoded, or the decoder crashed or made no progress for ``timeout`` seconds
            (streams: 30; who writes into a pipe may take any time).
        UsageError: see :func:`hasvideo.frames.decode.open_reader`.

    Errors in the request are raised when it is made, those of the video on entering and while frames are read.
    """

    info: VideoInfo
    width: int
    height: int
    length: int | None

    def __init__(
        self,
        path: str | Path,
        decoder: str = "decord",
        fps: float | None = 25.0,
        short_side: int | None = 256,
        start: float | None = None,
        end: float | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        check_request(decoder, fps, short_side, start, end)
        self.path = as_source(path)
        self._decoder, self._timeout = decoder, timeout
        if isinstance(self.path, StreamPath):
            self._timeout = math.inf if self.path.is_pipe else STREAM_TIMEOUT
        self._request = {
            "path": str(self.path), "decoder": decoder, "fps": fps, "short_side": short_side, "start": start, "end": end
        }  # fmt: skip
        self._messages: queue.Queue[Message] = queue.Queue()
        self._heard = 0.0
        self._last_words: deque[bytes] = deque(maxlen=1)

    def __enter__(self) -> FrameStream:
        with _handed_on(self.path) as (address, descriptors):
            self._heard = time.monotonic()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE,  # the child ends when this closes, however the parent ends
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_child_environment(),
                pass_fds=descriptors,
            )
        request = json.dumps(self._request | {"address": address})  # no argument: it may hold a password
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{request}\n".encode())  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._receive, self._overhear)]
        for thread in self._threads:
            thread.start()
        try:
            self._next(START_TIMEOUT)
            _, header = self._next(self._timeout)
        except BaseException:
            self.close()
            raise
        self.info = VideoInfo(path=self.path, **header["info"])
        self.width, self.height, self.length = header["width"], header["height"], header["length"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the frames, uint8 RGB ``(height, width, 3)``; once only."""
        while (message := self._next(self._timeout))[0] == "frame":
            yield message[1]

    def chunks(self, size: int = 64) -> Iterator[np.ndarray]:
        """Yield the frames in arrays ``(n, height, width, 3)``, n = ``size`` but for the last; once only."""
        return stack(self.frames(), size)

    def close(self) -> None:
        """End the child, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()  # type: ignore[union-attr]
        while any(thread.is_alive() for thread in self._threads):
            with contextlib.suppress(queue.Empty):  # makes room for a thread that waits to put a message
                self._messages.get(timeout=0.01)

    def _next(self, timeout: float) -> Message:
        """Return the next message that is neither a warning nor an error."""
        while True:
            kind, content = self._get(timeout)
            if kind == "warning":
                warnings.warn(content, DecoderWarning, stacklevel=4)
            elif kind == "usage":
                raise UsageError(content)
            elif kind == "failed":
                raise DecodeError(content)
            elif kind == "died":
                raise DecodeError(f"{self.path}: {self._cause_of_death()}")
            else:
                return kind, content

    def _get(self, timeout: float) -> Message:
        while True:
            try:
                return self._messages.get(timeout=min(0.25, timeout))
            except queue.Empty:
                if time.monotonic() - self._heard > timeout:
                    if isinstance(self.path, StreamPath):
                        raise DecodeError(f"{self.path}: no data for {timeout:g} s") from None
                    raise DecodeError(
                        f"{self.path}: decoder made no progress for {timeout:g} s{self._advice()}"
                    ) from None

    def _cause_of_death(self) -> str:
        code = self._process.wait()
        self._threads[1].join(timeout=1.0)  # its last words may still be on their way
        if code < 0:
            return f"the decoder crashed ({signal.Signals(-code).name}){self._advice()}"
        words = self._last_words[-1].decode(errors="replace").strip() if self._last_words else "no reason given"
        return f"the decoder ended with code {code} ({words}){self._advice()}"

    def _advice(self) -> str:
        return "; the file may be damaged" + ("" if self._decoder == "pyav" else ", --decoder pyav may still read it")

    def _receive(self) -> None:
        """Thread: read the child's messages into the queue."""
        shape: tuple[int, int, int] = (0, 0, 0)
        with self._process.stdout as pipe, contextlib.suppress(EOFError, ValueError):  # type: ignore[union-attr]
            while line := pipe.readline():
                kind, content = json.loads(line)
                self._heard = time.monotonic()
                if kind == "info":
                    shape = (content["height"], content["width"], 3)
                    self._messages.maxsize = max(2, QUEUE_BYTES // math.prod(shape))
                elif kind == "frame":
                    content = _read_pixels(pipe, shape)
                if kind != "alive":
                    self._messages.put((kind, content))
        self._messages.put(("died", None))

    def _overhear(self) -> None:
        """Thread: keep the last line of what the decoder's libraries print."""
        with self._process.stderr as pipe:  # type: ignore[union-attr]
            self._last_words.extend(line for line in pipe if line.strip())


@contextlib.contextmanager
def _handed_on(path: Path) -> Iterator[tuple[str | None, tuple[int, ...]]]:
    """Give the address by which the child opens a stream, None for a file, and the descriptors that it inherits."""
    if not isinstance(path, StreamPath):
        yield None, ()
    elif not path.is_pipe:
        yield path.address, ()
    else:
        descriptor = open_pipe(path)
        try:
            yield f"fd:{descriptor}", (descriptor,)
        finally:
            os.close(descriptor)


def _read_pixels(pipe: IO[bytes], shape: tuple[int, int, int]) -> np.ndarray:
    pixels = np.empty(shape, np.uint8)
    if pipe.readinto(pixels.data) < pixels.size:  # type: ignore[attr-defined]
        raise EOFError
    return pixels


def _child_environment() -> dict[str, str]:
    """Let the child import what the parent would, and leave the cores to the network."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    # glibc would give every frame's memory back to the system, and fault it in page by page for the next one. Larger
    # than a frame is libav's index of hours of video: growing step by step it would leave holes three times its size.
    memory = {"MALLOC_MMAP_THRESHOLD_": str(2**22), "MALLOC_TRIM_THRESHOLD_": str(2**27)}
    return {**os.environ, **threads, **memory, "PYTHONPATH": path}


class _Channel:
    """The child's end of the pipe."""

    def __init__(self) -> None:
        self._pipe = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # whatever a library prints must not mix with the messages
        self._last = time.monotonic()

    def send(self, kind: str, content: Any = None, pixels: np.ndarray | None = None) -> None:
        self._pipe.write(json.dumps([kind, content]).encode() + b"\n")
        if pixels is not None:
            self._pipe.write(np.ascontiguousarray(pixels).data)
        self._pipe.flush()
        self._last = time.monotonic()

    def alive(self) -> None:
        if time.monotonic() - self._last > ALIVE_INTERVAL:
            self.send("alive")


def main() -> None:
    """Be the child: decode what the line of JSON on standard input asks for, write messages to standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    request = sys.stdin.buffer.readline()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    channel = _Channel()
    warnings.showwarning = lambda message, *_: channel.send("warning", str(message))
    warnings.filterwarnings("ignore")
    warnings.filterwarnings("always", category=DecoderWarning)
    with contextlib.suppress(BrokenPipeError):
        _serve(json.loads(request), channel)
    os._exit(0)  # decoders may crash or hang when taken down, too


def _serve(request: dict[str, Any], channel: _Channel) -> None:
    path, address, decoder = (request.pop(name) for name in ("path", "address", "decoder"))
    source = Path(path) if address is None else stream_path(path, address)
    try:
        decoder = load_decoder(decoder, source)
        channel.send("started")
        reader = Reader(open_container(source, channel.alive), decoder, **request)
        info = {key: value for key, value in asdict(reader.info).items() if key != "path"}
        channel.send("info", {"info": info, "width": reader.width, "height": reader.height, "length": reader.length})
        for frame in reader.frames():
            channel.send("frame", pixels=frame)
        channel.send("end")
    except UsageError as error:
        channel.send("usage", str(error))
    except HasvideoError as error:
        channel.send("failed", str(error))
    except BrokenPipeError:
        raise
    except Exception as error:
        channel.send("failed", f"{path}: {decoder} failed ({type(error).__name__}: {error})")


def _end_with_parent() -> None:
    """Thread: standard input closes when the parent ends, however it does."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
