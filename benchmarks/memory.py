"""What the memory benchmarks share: a video of any length, and a watch on resident memory."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

import av
import psutil


class PeakMemory:
    """Watches a process and all that it started, while a ``with`` block runs.

    Attributes:
        children, total: largest resident memory without and with the process itself, bytes.
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
                own = self._process.memory_info().rss
                children = sum(child.memory_info().rss for child in self._process.children(recursive=True))
            except psutil.NoSuchProcess:  # one ended just now
                continue
            self.children, self.total = max(self.children, children), max(self.total, own + children)


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
