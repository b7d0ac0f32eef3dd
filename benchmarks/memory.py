"""What the memory benchmarks share: a video of any length, and a watch on memory."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Self

import av
import psutil


class PeakMemory:
    """Watches a process and all that it started, while a ``with`` block runs.

    On Linux what processes share counts once, and what is on disk anyhow not at all (``Pss_Dirty``): a process that
    ends looks for a moment at 100 MiB more of its libraries, and a fork has all of its parent's memory until it starts
    its program. Elsewhere all that is resident counts.

    Attributes:
        children, total: largest memory without and with the process itself, bytes.
    """

    def __init__(self, pid: int | None = None) -> None:
        self.children = self.total = 0
        self._process = psutil.Process(pid)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(0.1):
            try:
                own = memory_of(self._process)
                children = sum(memory_of(child) for child in self._process.children(recursive=True))
            except psutil.NoSuchProcess:  # one ended just now
                continue
            self.children, self.total = max(self.children, children), max(self.total, own + children)


def memory_of(process: psutil.Process) -> int:
    """Bytes, see :class:`PeakMemory`; 0 of a process that has ended."""
    try:
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    except ProcessLookupError:  # it has ended
        return 0
    except FileNotFoundError:  # it has ended, or this is not Linux
        rollup = ""
    dirty = re.search(r"^Pss_Dirty: +(\d+) kB$", rollup, re.MULTILINE)
    return 1024 * int(dirty[1]) if dirty else process.memory_info().rss


def loop_video(source: Path, target: Path, seconds: float) -> Path:
    """Repeat a video, without encoding it again, until it lasts ``seconds``."""
    with av.open(str(source)) as original, av.open(str(target), "w") as container:
        template = original.streams.video[0]
        packets = [packet for packet in original.demux(template) if packet.size]
        stream = container.add_stream_from_template(template)
        first = min(packet.pts for packet in packets)
        length = max(packet.pts + packet.duration for packet in packets) - first
        for repeat in range(max(1, round(seconds / float(length * template.time_base)))):
            for original_packet in packets:
                packet = av.Packet(bytes(original_packet))
                packet.pts = original_packet.pts + repeat * length
                packet.dts = original_packet.dts + repeat * length
                packet.duration, packet.time_base = original_packet.duration, template.time_base
                packet.is_keyframe, packet.stream = original_packet.is_keyframe, stream
                container.mux(packet)
    return target
