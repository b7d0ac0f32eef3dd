"""End-to-end speed of feature extraction against a plain eager PyTorch loop, and against the network alone.

The plain loop decodes in the same process, then runs the same blocks of frames through the same network in eager mode:
the same arithmetic and the same features, with nothing at the same time as anything else. All arms take turns in one
process; medians over the rounds, and ratios of the same round, so that a machine's moods cancel out.

    python benchmarks/localize_speed.py video.mp4 --rounds 5
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch

from hasvideo.features.extract_one import center_crop, extract_features
from hasvideo.features.extractors.i3d import I3DExtractor, load_i3d
from hasvideo.features.runtime import resolve_engine
from hasvideo.frames.decode import open_reader
from hasvideo.frames.process import FrameStream
from hasvideo.networks.i3d import I3DStem, I3DTail


class EagerI3D(I3DExtractor):
    """The same blocks through the network as anyone would call it: eager mode, default memory layout."""

    def __init__(self) -> None:
        network = load_i3d()
        self._stem = _eager(I3DStem(network))
        self._tail = _eager(I3DTail(network))


def _eager(module: torch.nn.Module) -> Callable[[np.ndarray], np.ndarray]:
    def run(x: np.ndarray) -> np.ndarray:
        # A contiguous (B, C, T, H, W) tensor, not the channels-last view that frames come as.
        tensor = torch.from_numpy(np.ascontiguousarray(x))
        if tensor.dtype == torch.uint8:
            tensor = tensor.permute(0, 4, 1, 2, 3).contiguous().permute(0, 2, 3, 4, 1)
        with torch.inference_mode():
            return module(tensor).numpy()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--decoder", default="decord")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--no-plain", action="store_true", help="leave the plain loop out, which is slow on long videos"
    )
    options = parser.parse_args()
    extractor, eager = I3DExtractor(options.engine), EagerI3D()
    grid, size = extractor.grid, extractor.size
    request = {"decoder": options.decoder, "fps": grid.fps, "short_side": size}

    def decode() -> Iterator[np.ndarray]:
        with FrameStream(options.video, **request) as stream:
            yield from (center_crop(chunk, size) for chunk in stream.chunks())

    def plain() -> np.ndarray:
        reader = open_reader(options.video, **request)
        return _features(eager, (center_crop(chunk, size) for chunk in reader.chunks(64)))

    ready = list(decode())
    arms: dict[str, Callable[[], object]] = {
        "plain eager loop": plain,
        "hasvideo, end to end": lambda: extract_features(options.video, extractor, decoder=options.decoder).array,
        "network on ready frames": lambda: _features(extractor, ready),
        "decoding alone": lambda: sum(len(chunk) for chunk in decode()),
    }
    frames = sum(map(len, ready))
    found = _features(extractor, ready)
    if options.no_plain:
        del arms["plain eager loop"]
    else:
        wanted = plain()
        difference = float(np.abs(wanted - found).max() / np.abs(wanted).max())
    times = {name: [] for name in arms}
    for _ in range(options.rounds):
        for name, run in arms.items():
            times[name].append(_seconds(run))
    print(f"{options.video.name}: {frames} frames at {grid.fps:g} fps, engine {resolve_engine(options.engine, 'cpu')}, "
          f"{torch.get_num_threads()} threads, median of {options.rounds}")  # fmt: skip
    for name, values in times.items():
        print(f"  {name:24} {frames / median(values):7.1f} frames/s  {median(values):7.2f} s")
    ours = times["hasvideo, end to end"]
    print(f"  end to end / network alone:          {_ratio(times['network on ready frames'], ours):5.2f}")
    if options.no_plain:
        return
    print(f"  end to end / plain eager loop:       {_ratio(times['plain eager loop'], ours):5.2f}")
    print(f"  decoding's share of the plain loop:  {_ratio(times['decoding alone'], times['plain eager loop']):5.2f}")
    print(f"  largest difference of the features:  {difference:.1e} of their maximum")


def _features(extractor: I3DExtractor, chunks: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(extractor(chunks)))


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _ratio(numerator: list[float], denominator: list[float]) -> float:
    return median(a / b for a, b in zip(numerator, denominator, strict=True))


if __name__ == "__main__":
    main()
