"""Resident memory of following a long stream, without the extractor's arithmetic.

The stream is the given clip, scaled down and looped through a named pipe; the features are random numbers of I3D's
size, on its grid (see cheap_features.py). The Kinetics-400 classifier, the decoder's process and all else are real.

    python benchmarks/stream_memory.py clip.mp4 --hours 2
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from cheap_features import scale_down, use_cheap_features
from memory import memory_of

from hasvideo.choice import Choice
from hasvideo.video.localizer import Localizer
from hasvideo.video.stream import follow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--hours", type=float, default=2.0)
    options = parser.parse_args()
    use_cheap_features()
    localizer = Localizer()
    with tempfile.TemporaryDirectory() as folder:
        small = scale_down(options.clip, Path(folder) / "small.mkv")
        begin = time.perf_counter()
        found = _follow(small, Path(folder) / "pipe.mkv", localizer, options.hours)
        print(f"{options.hours:g} h followed, {found} intervals ({time.perf_counter() - begin:.0f} s)")


def _follow(clip: Path, pipe: Path, localizer: Localizer, hours: float) -> int:
    os.mkfifo(pipe)
    code = "import sys; from memory import *; loop_video(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))"
    arguments = [str(clip), str(pipe), str(hours * 3600)]
    writer = subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=Path(__file__).parent)
    process, due = psutil.Process(), 0.0

    def watch(_info: object, stream_time: float, _frames: object) -> None:
        nonlocal due
        if stream_time >= due:
            family = [process, *(c for c in process.children() if c.pid != writer.pid)]
            size = sum(map(memory_of, family))
            print(f"minute {stream_time / 60:4.0f}: {size / 2**20:.0f} MiB", flush=True)
            due += hours * 3600 / 12

    found = sum(1 for _ in follow(pipe, localizer, Choice(classes=("juggling balls",)), watch=watch))
    writer.wait()
    return found


if __name__ == "__main__":
    main()
