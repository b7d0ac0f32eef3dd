"""How much of the video should one I3D feature see, and how often? Accuracy and cost on untrimmed videos.

Reads the videos of one subset with the Kinetics-400 classifier at every time step, once with every feature's full field
of view (the default of hasvideo: 99 frames, stride 8) and once with windows cut out and run by themselves, as most
published features are made. Localizes named classes, and prints their AP beside the frames that the network computes
for each frame of video. Scores choose nothing that is trained; thresholds are shown, not tuned.

    python benchmarks/i3d_window.py ../shared/data/ut-composed --subset train --every 3
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from hasvideo.datasets.annotations import Annotations, load_annotations
from hasvideo.extents import find_intervals
from hasvideo.metrics.detection import mean_average_precision
from hasvideo.model import Model, kinetics400
from hasvideo.networks.i3d import I3D
from hasvideo.types import Detections, Interval, IntervalRule, TimeGrid
from hasvideo.video.engine import Network, compile_network
from hasvideo.video.extraction import extract_features
from hasvideo.video.extractors import Extractor, load_extractor
from hasvideo.video.extractors.base import overlapping_blocks
from hasvideo.video.extractors.i3d import load_i3d

CLASSES = {"handshake": "shaking hands", "hug": "hugging", "kick": "side kick"}
TIOU = (0.1, 0.2, 0.3, 0.4, 0.5)
RULES = [IntervalRule(t, m) for m in ("max", "minmax") for t in (0.3, 0.5, 0.7)]


class Window(nn.Module):
    """I3D on one window of frames, averaged over it: uint8 (B, T, H, W, 3) -> (B, 1, 1024)."""

    def __init__(self, network: I3D) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        video = frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        return self.network.features(video).mean(dim=2, keepdim=True).transpose(1, 2)


class Windowed:
    """Windows cut out of the video and run by themselves."""

    dim, size, weights_sha256 = 1024, 224, ""

    def __init__(self, window: int, stride: int) -> None:
        self.name = f"window {window}, stride {stride}"
        self.grid = TimeGrid(25.0, window, stride, offset=-(window - stride) // 2)
        shape = (1, window, self.size, self.size, 3)
        network = Network(f"i3d-window-{window}", lambda: Window(load_i3d()).eval(), shape, "uint8", shape)
        self._run = compile_network(network)
        self.cost = window / stride

    def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        before = (self.grid.window - self.grid.stride) // 2
        after = self.grid.window - self.grid.stride - before
        for block, _ in overlapping_blocks(frames, self.grid.stride, before, after):
            yield self._run(block[None])[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with annotations.json and videos/")
    parser.add_argument("--subset", default="train")
    parser.add_argument("--every", type=int, default=1, help="take every n-th video")
    options = parser.parse_args()
    truth = load_annotations(options.data / "annotations.json").select(options.subset)
    names = sorted(truth.videos)[:: options.every]
    truth = Annotations({n: truth.videos[n] for n in names}, truth.source)
    model = kinetics400()
    dense = load_extractor("i3d")
    arms: list[tuple[Extractor, float]] = [(dense, 84 / 64 * 0.82 + 52 / 32 * 0.18)]
    arms += [(w, w.cost) for w in (Windowed(16, 8), Windowed(32, 16), Windowed(64, 16))]
    print(f"{len(names)} videos of {options.subset}; mean AP of {', '.join(CLASSES.values())}, %, tIoU 0.1-0.5")
    print(f"{'features':24} {'cost':>5} " + " ".join(f"{r.mode}>{r.threshold}".rjust(11) for r in RULES))
    for extractor, cost in arms:
        row = _scores(extractor, model, truth, options.data / "videos")
        title = "field of view 99, stride 8" if extractor is dense else extractor.name
        print(f"{title:26} {cost:5.2f} " + " ".join(f"{100 * s:11.1f}" for s in row), flush=True)


def _scores(extractor: Extractor, model: Model, truth: Annotations, folder: Path) -> list[float]:
    read = {}
    for name in tqdm(truth.videos, leave=False):
        features = extract_features(folder / f"{name}.mp4", extractor)
        activations = {a.label: a for a in model.activations(features.array)}
        read[name] = (features, [activations[k] for k in CLASSES.values()])
    own = {kinetics: label for label, kinetics in CLASSES.items()}
    scores = []
    for rule in RULES:
        found = [
            Detections(
                name,
                features.info,
                tuple(
                    Interval(i.start, i.end, own[i.label], i.score)
                    for a in activations
                    for i in find_intervals(a, features.edges, rule)
                ),
            )
            for name, (features, activations) in read.items()
        ]
        result = mean_average_precision(found, truth, tiou=TIOU, classes=list(CLASSES))
        scores.append(result["average_mAP"])
    return scores


if __name__ == "__main__":
    main()
