"""Decoding in a process of its own: a damaged file may hang or crash the decoder, but not the program.

The child is a plain ``python -m hasvideo.video.decoder_process`` (so a user's script needs no ``__main__`` guard). It
writes messages to a pipe: each a line of JSON, ``{"kind": ...}``, where a ``frame`` is followed by its pixels.
"""

from __future__ import annotations

import contextlib
import importlib
import json
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
from hasvideo.types import VideoInfo
from hasvideo.video.decode import check_request, open_reader, stack

TIMEOUT = 15.0  # seconds without a sign of life from the decoder
START_TIMEOUT = 60.0  # seconds for the child to start: torchcodec imports torch
QUEUE_BYTES = 2**25  # of frames read ahead
ALIVE_INTERVAL = 1.0  # seconds
_MODULES = {"decord": "decord", "pyav": "av", "torchcodec": "torchcodec.decoders"}


class FrameStream:
    """Frames of a video, decoded by another process, ahead of use and in constant memory.

    Arguments are those of :func:`hasvideo.video.decode.open_reader`. Use as a context manager::

        with FrameStream("video.mp4") as stream:
            print(stream.info.duration)
            for chunk in stream.chunks(64):  # uint8 RGB (n, height, width, 3)
                ...

    Attributes:
        info: what the file says of itself.
        width, height: pixels of the delivered frames.
        length: frames that will be delivered if the file holds what it promises.

    Raises:
        DecodeError: the file cannot be decoded, or the decoder crashed or made no progress for ``timeout`` seconds.
        UsageError: an unknown decoder, or a range outside the video.
    """

    info: VideoInfo
    width: int
    height: int
    length: int

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
        self.path = Path(path)
        self._decoder, self._timeout = decoder, timeout
        self._request = {
            "path": str(path), "decoder": decoder, "fps": fps, "short_side": short_side, "start": start, "end": end
        }  # fmt: skip
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self._noise: deque[bytes] = deque(maxlen=1)
        self._heard = 0.0

    def __enter__(self) -> FrameStream:
        self._heard = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, json.dumps(self._request)],
            stdin=subprocess.PIPE,  # the child ends when this closes
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_child_environment(),
        )
        threading.Thread(target=self._receive, daemon=True).start()
        threading.Thread(target=self._drain, daemon=True).start()
        try:
            self._await("started", START_TIMEOUT)
            header = self._await("info", self._timeout)
        except BaseException:
            self.close()
            raise
        self.info = VideoInfo(**{**header["info"], "path": self.path})
        self.width, self.height, self.length = header["width"], header["height"], header["length"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def frames(self) -> Iterator[np.ndarray]:
        """Yield frames, uint8 RGB ``(height, width, 3)``; once only."""
        while (message := self._next(self._timeout))["kind"] != "end":
            yield message["pixels"]

    def chunks(self, size: int = 64) -> Iterator[np.ndarray]:
        """Yield the same frames in arrays ``(n, height, width, 3)``, n = ``size`` but for the last."""
        return stack(self.frames(), size)

    def close(self) -> None:
        """End the child, whatever it does."""
        self._process.kill()
        self._process.wait()
        # A reader thread that waits for room in the queue has to find some, to see the end of the pipe.
        self._messages.maxsize = 0
        with contextlib.suppress(queue.Empty):
            while True:
                self._messages.get_nowait()

    def _await(self, kind: str, timeout: float) -> dict[str, Any]:
        message = self._next(timeout)
        assert message["kind"] == kind, message
        return message

    def _next(self, timeout: float) -> dict[str, Any]:
        """Return the next message that is neither a warning nor an error."""
        while True:
            message = self._get(timeout)
            if message["kind"] == "warning":
                warnings.warn(message["text"], stacklevel=4)
            elif message["kind"] == "usage":
                raise UsageError(message["text"])
            elif message["kind"] == "failed":
                raise DecodeError(message["text"])
            elif message["kind"] == "died":
                raise DecodeError(self._obituary())
            else:
                return message

    def _get(self, timeout: float) -> dict[str, Any]:
        while True:
            try:
                return self._messages.get(timeout=min(0.25, timeout))
            except queue.Empty:
                if time.monotonic() - self._heard > timeout:
                    self._process.kill()
                    raise DecodeError(
                        f"{self.path}: decoder made no progress for {timeout:g} s{self._advice()}"
                    ) from None

    def _obituary(self) -> str:
        code = self._process.wait()
        if code < 0:
            return f"{self.path}: {self._decoder} crashed ({signal.Signals(-code).name}){self._advice()}"
        last = self._noise[-1].decode(errors="replace").strip() if self._noise else f"exit code {code}"
        return f"{self.path}: the decoder process ended ({last}){self._advice()}"

    def _advice(self) -> str:
        return "" if self._decoder == "pyav" else "; the file is damaged, --decoder pyav may read it"

    def _receive(self) -> None:
        """Thread: read the child's messages into the queue."""
        pipe = self._process.stdout
        assert pipe is not None
        shape = (0, 0, 3)
        try:
            while line := pipe.readline():
                message = json.loads(line)
                self._heard = time.monotonic()
                if message["kind"] == "info":
                    shape = (message["height"], message["width"], 3)
                    self._messages.maxsize = max(2, QUEUE_BYTES // int(np.prod(shape)))
                elif message["kind"] == "frame":
                    message["pixels"] = _read_pixels(pipe, shape)
                if message["kind"] != "alive":
                    self._messages.put(message)
        except (ValueError, EOFError):
            pass  # the child died in the middle of a message
        self._messages.put({"kind": "died"})

    def _drain(self) -> None:
        """Thread: keep the last line of what the decoder's libraries print."""
        assert self._process.stderr is not None
        self._noise.extend(line for line in self._process.stderr if line.strip())


def _read_pixels(pipe: IO[bytes], shape: tuple[int, int, int]) -> np.ndarray:
    pixels = np.empty(shape, np.uint8)
    rest = memoryview(pixels.data).cast("B")
    while rest:
        count = pipe.readinto(rest)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        rest = rest[count:]
    return pixels


def _child_environment() -> dict[str, str]:
    """The child imports what the parent would, and leaves the cores to the network."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def main() -> None:
    """The child: decode what the JSON argument asks for, write messages to standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    threading.Thread(target=_end_with_parent, daemon=True).start()
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with the messages
    channel = _Channel(output)
    try:
        _serve(json.loads(sys.argv[1]), channel)
    except BrokenPipeError:
        os._exit(1)


def _serve(request: dict[str, Any], channel: _Channel) -> None:
    warnings.showwarning = lambda message, *_: channel.send("warning", text=str(message))
    warnings.simplefilter("ignore")
    warnings.filterwarnings("always", module="hasvideo")
    with contextlib.suppress(Exception):  # a decoder that cannot be loaded is reported when it is used
        importlib.import_module(_MODULES[request["decoder"]])
    channel.send("started")
    try:
        reader = open_reader(**request, progress=channel.alive)
        info = {**asdict(reader.info), "path": request["path"]}
        channel.send("info", info=info, width=reader.width, height=reader.height, length=reader.length)
        for frame in reader.frames():
            channel.send("frame", frame)
        channel.send("end")
    except BrokenPipeError:
        raise
    except UsageError as error:
        channel.send("usage", text=str(error))
    except HasvideoError as error:
        channel.send("failed", text=str(error))
    except Exception as error:
        channel.send("failed", text=f"{request['path']}: {request['decoder']} failed: {type(error).__name__}: {error}")


class _Channel:
    """The child's side of the pipe."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._last = time.monotonic()

    def send(self, kind: str, pixels: np.ndarray | None = None, **content: Any) -> None:
        self._pipe.write(json.dumps({"kind": kind, **content}).encode() + b"\n")
        if pixels is not None:
            self._pipe.write(np.ascontiguousarray(pixels).data)
        self._pipe.flush()
        self._last = time.monotonic()

    def alive(self) -> None:
        """Say so, from time to time."""
        if time.monotonic() - self._last > ALIVE_INTERVAL:
            self.send("alive")


def _end_with_parent() -> None:
    """Thread: standard input closes when the parent ends, however it does."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
