"""Throughput of ``hasvideo extract`` on a folder of short clips, beside plain loops that take one clip after the other.

The plain loops decode a clip whole, by decord or by pytorchvideo's ``EncodedVideo``, and run the same I3D with the same
weights once over it, in eager PyTorch, on the same windows. Every arm is a process of its own, from its start to its
end with everything that it imports and loads. Clips are cut from the videos given, at their own size, 25 frames a
second.

    python benchmarks/extract_speed.py bikes.mp4 bigbuckbunny.mp4 --work WORK --rounds 3

What is measured is kept in WORK/measured.jsonl: run it again to go on where it was ended, or with --arms and --rounds
for more. Weights and compiled networks should be in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

FPS = 25
PLAIN, PYTORCHVIDEO = "plain loop, decord", "plain loop, EncodedVideo"
OURS = {
    f"hasvideo, {engine}, {workers} worker{'s' * (workers > 1)}": (engine, workers)
    for engine in ("openvino", "torch")
    for workers in (1, 2)
}
ARMS = (PLAIN, PYTORCHVIDEO, *OURS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--work", type=Path, default=Path("extract_speed"), help="folder for clips and results")
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4.0, help="of every clip")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--plain", choices=(PLAIN, PYTORCHVIDEO), help=argparse.SUPPRESS)  # this process is that loop
    options = parser.parse_args()
    if options.plain:
        plain_loop(options.videos, options.work, _read_decord if options.plain == PLAIN else _read_pytorchvideo)
        return
    clips = options.work / "clips"
    if not clips.exists():
        cut_clips(options.videos, clips, options.clips, round(options.seconds * FPS))
    measured = measure(options, sorted(clips.iterdir()))
    report(options, measured)


def measure(options: argparse.Namespace, clips: list[Path]) -> list[dict]:
    """Every round of every arm that was not measured yet, the arms by turns."""
    file = options.work / "measured.jsonl"
    measured = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    done = {(m["arm"], m["round"]) for m in measured}
    for number in range(options.rounds):
        for arm in options.arms:
            if (arm, number) not in done:
                measured.append({"arm": arm, "round": number, **_run(arm, clips, options.work / f"{arm} {number}")})
                with file.open("a") as lines:
                    lines.write(json.dumps(measured[-1]) + "\n")
    return measured


def _run(arm: str, clips: list[Path], output: Path) -> dict[str, float]:
    """Seconds, by the clock and of all processors, of an arm's process and its children."""
    if arm in OURS:
        engine, workers = OURS[arm]
        command = ["-m", "hasvideo.extract", *clips, "-o", output, "--engine", engine, "--workers", workers,
                   "--dtype", "float32", "--quiet"]  # fmt: skip
    else:
        command = [__file__, *clips, "--work", output, "--plain", arm]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    began, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *map(str, command)], check=True, env=environment, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - began, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"seconds": seconds, "cpu": cpu}


def report(options: argparse.Namespace, measured: list[dict]) -> None:
    """Print the table: medians of the rounds, and of the ratios to the plain loop in the same round."""
    clips = len(list((options.work / "clips").iterdir()))
    of = {arm: {m["round"]: m for m in measured if m["arm"] == arm} for arm in ARMS}
    print(f"{clips} clips, {os.cpu_count()} cores")
    print(f"{'':28} rounds  clips/s  seconds   cpu s   faster   less cpu   difference")
    for arm, rounds in of.items():
        if not rounds:
            continue
        both = [(of[PLAIN][number], m) for number, m in rounds.items() if number in of[PLAIN]]
        seconds, cpu = (median(m[key] for m in rounds.values()) for key in ("seconds", "cpu"))
        ratios = [median(a[key] / b[key] for a, b in both) if both else float("nan") for key in ("seconds", "cpu")]
        off = _difference(options.work / f"{PLAIN} 0", options.work / f"{arm} 0")
        print(f"{arm:28} {len(rounds):6} {clips / seconds:8.2f} {seconds:8.1f} {cpu:7.1f} "
              f"{ratios[0]:8.2f} {ratios[1]:10.2f} {off:12.1e}")  # fmt: skip


def _difference(wanted: Path, found: Path) -> float:
    """Find the largest difference of a clip's features, relative to their largest."""
    if not wanted.exists() or not found.exists():
        return float("nan")
    pairs = [(np.load(path), np.load(found / path.name)) for path in wanted.glob("*.npy")]
    return max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs)


def plain_loop(clips: list[Path], output: Path, read: Callable[[Path], np.ndarray]) -> None:
    """One clip after the other: decode, compute, save."""
    import torch

    from hasvideo.features.extractors.i3d import I3DExtractor, load_i3d
    from hasvideo.networks.i3d import I3DStem, I3DTail

    network = load_i3d()
    stem, tail = I3DStem(network), I3DTail(network)
    output.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        frames = read(clip)  # (T, 224, 224, 3)
        cells, features = -(-len(frames) // 4), I3DExtractor.grid.count(len(frames))
        with torch.inference_mode():
            # Around it what an I3D feature sees at the ends: first and last frame again, then first and last cell.
            x = stem(torch.from_numpy(_extend(frames, 8, 12 + -len(frames) % 4))[None])[0].transpose(0, 1)[2:][:cells]
            x = torch.from_numpy(_extend(x.numpy(), 10, 10 + cells % 2)).transpose(0, 1)[None].contiguous()
            np.save(output / f"{clip.stem}.npy", tail(x)[0, 5:][:features].numpy())


def _extend(array: np.ndarray, before: int, after: int) -> np.ndarray:
    return np.concatenate([array[:1].repeat(before, 0), array, array[-1:].repeat(after, 0)])


def _read_decord(path: Path) -> np.ndarray:
    from hasvideo.features.extract_one import center_crop
    from hasvideo.frames.decode import open_reader

    reader = open_reader(path, decoder="decord", fps=FPS, short_side=224)
    return np.concatenate([center_crop(chunk, 224) for chunk in reader.chunks(64)])


def _read_pytorchvideo(path: Path) -> np.ndarray:
    """Scaled as pytorchvideo's ShortSideScale does (its transforms do not import beside this torchvision)."""
    from pytorchvideo.data.encoded_video import EncodedVideo
    from torch.nn.functional import interpolate

    from hasvideo.features.extract_one import center_crop

    video = EncodedVideo.from_path(str(path), decode_audio=False)
    frames = video.get_clip(0, video.duration)["video"].transpose(0, 1)  # float32 (T, 3, H, W)
    height, width = frames.shape[2:]
    size = tuple(round(side * 224 / min(height, width)) for side in (height, width))
    frames = interpolate(frames, size, mode="bilinear", align_corners=False)
    return center_crop(frames.round().byte().permute(0, 2, 3, 1).numpy(), 224)


def cut_clips(videos: list[Path], folder: Path, count: int, length: int) -> None:
    """Clips of ``length`` frames from the videos by turns, their starts spread over each."""
    import av

    folder.mkdir(parents=True)
    for number in range(count):
        source = videos[number % len(videos)]
        with av.open(str(source)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        of, spare = -(-count // len(videos)), len(frames) - length
        if spare < 0:
            raise SystemExit(f"{source} has {len(frames)} frames, a clip is of {length}")
        start = spare * (number // len(videos)) // of
        with av.open(str(folder / f"clip{number:02}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=FPS)
            stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
            for frame in frames[start : start + length]:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())


if __name__ == "__main__":
    main()
