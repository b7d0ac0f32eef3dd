"""How much of the video should one I3D feature see, and how often? Accuracy and cost on untrimmed videos.

Reads the videos of one subset with the Kinetics-400 classifier at every time step, once with every feature's full field
of view (the default of hasvideo: 99 frames, stride 8) and once with windows cut out and run by themselves, as most
published features are made. Localizes named classes, and prints their AP beside the frames that the network computes
for each frame of video. Scores choose nothing that is trained; thresholds are shown, not tuned.

    python benchmarks/i3d_window.py ../shared/data/ut-composed --subset train --every 3
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from hasvideo.datasets.annotations import Annotations, load_annotations
from hasvideo.extents import find_intervals
from hasvideo.features.extract_one import Features, extract_features
from hasvideo.features.extractors import Extractor, load_extractor
from hasvideo.features.extractors.base import overlapping_blocks
from hasvideo.features.extractors.i3d import load_i3d
from hasvideo.features.runtime import Network, compile_network
from hasvideo.metrics.detection import mean_average_precision
from hasvideo.networks.i3d import I3D
from hasvideo.networks.temporal import TemporalNetwork
from hasvideo.types import Activation, Detections, IntervalRule, TimeGrid
from hasvideo.video.model import Model, kinetics400

CLASSES = {"handshake": "shaking hands", "hug": "hugging", "kick": "side kick"}
TIOU = (0.1, 0.2, 0.3, 0.4, 0.5)
SMOOTHING = (0, 3)
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
    parser.add_argument("--dense-only", action="store_true", help="leave the windows out, which take most of the time")
    options = parser.parse_args()
    truth = load_annotations(options.data / "annotations.json").select(options.subset)
    names = sorted(truth.videos)[:: options.every]
    truth = Annotations({n: truth.videos[n] for n in names}, truth.source)
    model = kinetics400()
    dense = load_extractor("i3d")
    arms: list[tuple[Extractor, float]] = [(dense, 84 / 64 * 0.82 + 52 / 32 * 0.18)]
    if not options.dense_only:
        arms += [(w, w.cost) for w in (Windowed(16, 8), Windowed(32, 16), Windowed(64, 16))]
    print(f"{len(names)} videos of {options.subset}; mean AP of {', '.join(CLASSES.values())}, %, tIoU 0.1-0.5")
    print(f"{'features':44}{'cost':>5} " + " ".join(f"{r.mode}>{r.threshold}".rjust(11) for r in RULES))
    for extractor, cost in arms:
        features = {
            n: extract_features(options.data / "videos" / f"{n}.mp4", extractor) for n in tqdm(names, leave=False)
        }
        title = "field of view 99, stride 8" if extractor is dense else extractor.name
        for passes in SMOOTHING:
            row = _scores(features, _smoothed(model, passes), truth)
            line = f"{title}, smoothed {passes} times".ljust(44) + f"{cost:5.2f} "
            print(line + " ".join(f"{100 * s:11.1f}" for s in row), flush=True)


def _smoothed(model: Model, passes: int) -> Model:
    network = TemporalNetwork(replace(model.network.config, smoothing=passes))
    network.load_state_dict(model.network.state_dict())
    return replace(model, network=network)


def _scores(features: Mapping[str, Features], model: Model, truth: Annotations) -> list[float]:
    """Mean AP by each of the rules."""
    read = {name: _activations(model, f) for name, f in features.items()}
    scores = []
    for rule in RULES:
        found = []
        for name, f in features.items():
            intervals = [i for a in read[name] for i in find_intervals(a, f.edges, rule)]
            found.append(Detections(name, f.info, tuple(intervals)))
        scores.append(mean_average_precision(found, truth, tiou=TIOU, classes=list(CLASSES))["average_mAP"])
    return scores


def _activations(model: Model, features: Features) -> list[Activation]:
    """Of our classes, under our names."""
    found = {a.label: a for a in model.activations(features.array)}
    return [replace(found[kinetics], label=label) for label, kinetics in CLASSES.items()]


if __name__ == "__main__":
    main()
