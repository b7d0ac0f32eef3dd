"""Resident memory of following a long stream, or of a long file as a whole, without the extractor's arithmetic.

The stream is the given clip, scaled down and looped through a named pipe; every feature is zeros of I3D's size, on its
grid. The Kinetics-400 classifier, the decoder's process and all else are the real ones.

    python benchmarks/stream_memory.py clip.mp4 --hours 2
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import psutil
from memory import PeakMemory, loop_video

from hasvideo.choice import Choice
from hasvideo.video import extractors
from hasvideo.video.extractors.base import overlapping_blocks
from hasvideo.video.extractors.i3d import I3DExtractor
from hasvideo.video.localizer import Localizer
from hasvideo.video.stream import follow


class ZeroExtractor:
    """Zeros where I3D would have features, in blocks as it gives them."""

    name, grid, dim, size = I3DExtractor.name, I3DExtractor.grid, I3DExtractor.dim, 16
    weights_sha256 = I3DExtractor.weights_sha256

    def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for _, count in overlapping_blocks(frames, 128, 40, 40):
            yield np.zeros((-(-count // self.grid.stride), self.dim), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--whole", action="store_true", help="the file as a whole instead of following it")
    options = parser.parse_args()
    extractors.load_extractor = lambda *_: ZeroExtractor()  # type: ignore[assignment]
    localizer = Localizer(decoder="pyav")
    with tempfile.TemporaryDirectory() as folder:
        small = _scale(options.clip, Path(folder) / "small.mkv")
        begin = time.perf_counter()
        if options.whole:
            video = loop_video(small, Path(folder) / "long.mkv", options.hours * 3600)
            with PeakMemory(os.getpid()) as peak:
                localizer(video, Choice(classes=("juggling balls",)))
            print(f"{options.hours:g} h as a whole: peak {peak.total / 2**20:.0f} MiB", end="")
        else:
            _follow(small, Path(folder) / "pipe.mkv", localizer, options.hours)
        print(f" ({time.perf_counter() - begin:.0f} s)")


def _follow(clip: Path, pipe: Path, localizer: Localizer, hours: float) -> None:
    os.mkfifo(pipe)
    code = "import sys; from memory import *; loop_video(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))"
    arguments = [str(clip), str(pipe), str(hours * 3600)]
    writer = subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=Path(__file__).parent)
    process, seen = psutil.Process(), [0.0]

    def watch(_info: object, stream_time: float, _frames: object) -> None:
        if stream_time >= seen[-1]:
            family = [process, *(c for c in process.children() if c.pid != writer.pid)]
            print(
                f"minute {stream_time / 60:4.0f}: {sum(p.memory_info().rss for p in family) / 2**20:.0f} MiB",
                flush=True,
            )
            seen.append(seen[-1] + hours * 3600 / 12)

    for _ in follow(pipe, localizer, Choice(classes=("juggling balls",)), watch=watch):
        pass
    writer.wait()
    print(f"{hours:g} h followed", end="")


def _scale(source: Path, target: Path) -> Path:
    with av.open(str(source)) as original, av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for frame in original.decode(video=0):
            frame = frame.reformat(48, 32, "yuv420p")
            frame.pts = None
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return target


if __name__ == "__main__":
    main()
