"""Peak resident memory of `hasvideo localize` (all of its processes) on a short and a long video.

The long videos are the given clip, repeated by copying its packets.

    python benchmarks/localize_memory.py clip.mp4 --minutes 5 60
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from memory import PeakMemory, loop_video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[5, 60])
    parser.add_argument("--decoder", default="decord")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _peak(options.clip, options.decoder, Path(folder))  # weights and compiled networks are made once, not measured
    peaks = []
    for minutes in options.minutes:
        with tempfile.TemporaryDirectory() as folder:
            video = loop_video(options.clip, Path(folder) / "long.mp4", minutes * 60)
            begin = time.perf_counter()
            peaks.append(_peak(video, options.decoder, Path(folder)))
            seconds = time.perf_counter() - begin
        print(f"{minutes:5g} min: peak {peaks[-1] / 2**20:7.0f} MiB, {seconds:6.0f} s, "
              f"{peaks[-1] / peaks[0]:.3f} of the first", flush=True)  # fmt: skip


def _peak(video: Path, decoder: str, folder: Path) -> int:
    command = [sys.executable, "-m", "hasvideo.localize", str(video), "--quiet", "--decoder", decoder]
    command += ["-f", "json", "png", "-o", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    with PeakMemory(process.pid) as peak:
        code = process.wait()
    if code:
        raise SystemExit(code)
    return peak.total


if __name__ == "__main__":
    main()
