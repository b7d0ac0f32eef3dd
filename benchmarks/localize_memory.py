"""Peak memory of `hasvideo localize` or `extract` (all of its processes) on short and long videos.

The long videos are the given clip, repeated by copying its packets. With `--cheap` it is scaled down first and the
features are random numbers (see cheap_features.py), so that hours of video take minutes.

    python benchmarks/localize_memory.py clip.mp4 --minutes 5 60
    python benchmarks/localize_memory.py clip.mp4 --minutes 5 60 600 --cheap localize stdin extract
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cheap_features import scale_down
from memory import PeakMemory, loop_video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[5, 60])
    parser.add_argument("--decoder", default="decord")
    parser.add_argument("--container", default="mp4", help="of the long videos: mp4, mkv ...")
    parser.add_argument("--cheap", nargs="+", choices=["localize", "stdin", "extract"], default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not options.cheap:
            _peak(options.clip, "real", options.decoder)  # weights and compiled networks are made once, not measured
        for what in options.cheap or ["real"]:
            # Matroska and not MP4 for a pipe, which cannot be searched for an index at the end.
            suffix = "mkv" if what == "stdin" else options.container
            clip = scale_down(options.clip, Path(folder) / f"small.{suffix}") if options.cheap else options.clip
            first = 0
            for minutes in options.minutes:
                video = loop_video(clip, Path(folder) / f"long.{suffix}", minutes * 60)
                begin = time.perf_counter()
                peak = _peak(video, what, options.decoder)
                first = first or peak
                print(f"{what} {minutes:5g} min: peak {peak / 2**20:7.0f} MiB, {peak / first:.3f} of the first, "
                      f"{time.perf_counter() - begin:6.0f} s", flush=True)  # fmt: skip


def _peak(video: Path, what: str, decoder: str) -> int:
    cheap = str(Path(__file__).with_name("cheap_features.py"))
    commands = {
        "real": ["-m", "hasvideo.localize", str(video), "-f", "json", "png"],
        "localize": [cheap, "localize", str(video), "-f", "json", "png", "html"],
        "stdin": [cheap, "localize", "-", "-f", "json", "png", "html"],
        "extract": [cheap, "extract", str(video)],
    }
    with tempfile.TemporaryDirectory() as folder, video.open("rb") as file:
        process = subprocess.Popen(
            [sys.executable, *commands[what], "--decoder", decoder, "--quiet", "-o", folder],
            stdin=file if what == "stdin" else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        with PeakMemory(process.pid) as peak:
            _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(errors.decode())
    return peak.total


if __name__ == "__main__":
    main()
