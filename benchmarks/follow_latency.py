"""How late `hasvideo localize --follow` tells, with the real I3D: the clip is looped and piped into the command.

Of the lines that come before the end: how much further the stream had been read than their intervals' end, and with
`--real-time` (which needs the ffmpeg command) also how far the clock was ahead of that.

    python benchmarks/follow_latency.py clip.mp4 --seconds 40 --real-time
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from memory import loop_video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--real-time", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video = str(loop_video(options.clip, Path(folder) / "clip.mkv", options.seconds))
        paced = ["ffmpeg", "-v", "error", "-re", "-i", video, "-c", "copy", "-f", "matroska", "-"]
        rows = _follow(paced if options.real_time else ["cat", video])
    end, read, clock = np.array([row for row in rows if row[1] < rows[-1][1]]).T
    print(f"{len(end)} intervals told before the end, s behind their own end: {_summary(read - end)}")
    if options.real_time:
        print(f"s that the clock was ahead of what had been read: {_summary(clock - read)}")


def _follow(source: list[str]) -> list[tuple[float, float, float]]:
    """End of an interval, how far the stream had been read, and the clock since it began, seconds, for every line."""
    command = [sys.executable, "-m", "hasvideo.localize", "-", "--follow", "--quiet"]
    begin = time.perf_counter()
    writer = subprocess.Popen(source, stdout=subprocess.PIPE)
    reader = subprocess.Popen(
        [*command, "--min-class-score", "0", "--top-k", "20"], stdin=writer.stdout, stdout=subprocess.PIPE
    )
    rows = []
    for line in reader.stdout or ():
        told = json.loads(line)
        rows.append((told["segment"][1], told["read"], time.perf_counter() - begin))
    return rows


def _summary(seconds: np.ndarray) -> str:
    return f"{seconds.min():.2f} to {seconds.max():.2f}, median {np.median(seconds):.2f}"


if __name__ == "__main__":
    main()
