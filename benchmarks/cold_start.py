"""How long from the command to its help page, and to the first interval of a clip of ten seconds.

Every run is a process of its own; the weights and the compiled networks are in the cache after a first run that does
not count. An interval is there when its line of the table has been printed. Processor time is that of all threads and
of the decoder's process, until the command has ended.

    python benchmarks/cold_start.py video.mp4 --runs 5
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import av

COMMAND = [sys.executable, "-m", "hasvideo"]
INTERVAL = re.compile(r"\s*\d+\.\d+ +\d+\.\d+ ")  # start and end in the table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, help="at least as long as the clip that is cut from its start")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clip")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = cut(options.video, Path(folder) / f"clip{options.video.suffix}", options.seconds)
        measure(["localize", str(clip)], INTERVAL)
        arms = {
            "hasvideo --help": (["--help"], re.compile("usage:")),
            "hasvideo localize --help": (["localize", "--help"], re.compile("usage:")),
            f"first interval of {options.seconds:g} s": (["localize", str(clip)], INTERVAL),
        }
        runs = {name: [measure(*arm) for _ in range(options.runs)] for name, arm in arms.items()}
    print(f"{options.video.name}, {len(os.sched_getaffinity(0))} cores, median of {options.runs} (lowest to highest)")
    for name, values in runs.items():
        wall, cpu = zip(*values, strict=True)
        print(f"  {name:26} {median(wall):6.2f} s ({min(wall):.2f} to {max(wall):.2f}), processor {median(cpu):5.2f} s")


def cut(source: Path, target: Path, seconds: float) -> Path:
    """Cut the first ``seconds`` from the video, without encoding it anew."""
    with av.open(str(source)) as original, av.open(str(target), "w") as clip:
        (video, *_) = original.streams.video
        copy = clip.add_stream_from_template(video)
        for packet in original.demux(video):
            if packet.dts is not None and (packet.dts - (video.start_time or 0)) * video.time_base < seconds:
                packet.stream = copy
                clip.mux(packet)
    return target


def measure(arguments: list[str], awaited: re.Pattern[str]) -> tuple[float, float]:
    """Seconds until the command prints a line like ``awaited``, and of processor time until it ends."""
    before, start = _children(), time.perf_counter()
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    with process:
        seconds = next((time.perf_counter() - start for line in process.stdout if awaited.match(line)), None)
        process.stdout.read()
    if process.returncode or seconds is None:
        raise SystemExit(f"hasvideo {' '.join(arguments)} ended with {process.returncode}, and without what is awaited")
    return seconds, _children() - before


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
