"""Peak memory (this process and the decoder's) and speed of streaming a short and a long video.

The long videos are the given clip, repeated by copying its packets. After the first chunk nothing is read for a few
seconds, as when a network is compiled: a decoder that reads ahead without bound fills the memory then.

    python benchmarks/decode_memory.py clip.mp4 --minutes 5 60
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from memory import PeakMemory, loop_video

from hasvideo.frames.decode import DECODERS
from hasvideo.frames.process import FrameStream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[5, 60])
    parser.add_argument("--decoders", nargs="+", default=DECODERS)
    parser.add_argument("--pause", type=float, default=5.0, help="seconds without reading")
    options = parser.parse_args()
    print("decoder      minutes   frames  frames/s  decoder MiB  all MiB")
    for minutes in options.minutes:
        with tempfile.TemporaryDirectory() as folder:
            video = loop_video(options.clip, Path(folder) / "long.mp4", minutes * 60)
            for decoder in options.decoders:
                frames, seconds, child, total = _stream(video, decoder, options.pause)
                print(f"{decoder:<12} {minutes:7g} {frames:8d} {frames / seconds:9.0f} {child / 2**20:12.0f} "
                      f"{total / 2**20:8.0f}", flush=True)  # fmt: skip


def _stream(video: Path, decoder: str, pause: float) -> tuple[int, float, int, int]:
    """Frames, seconds (without the pause), peak bytes of the decoder's process, and of both."""
    with FrameStream(video, decoder) as stream, PeakMemory() as peak:
        begin = time.perf_counter()
        frames = 0
        for chunk in stream.chunks(64):
            if not frames:
                time.sleep(pause)
            frames += len(chunk)
        seconds = time.perf_counter() - begin - pause
    return frames, seconds, peak.children, peak.total


if __name__ == "__main__":
    main()
