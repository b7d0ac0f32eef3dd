"""One training epoch over videos of THUMOS size, beside the matrix products that no implementation can avoid.

    python benchmarks/training_speed.py [--videos 200] [--threads 1]

The epoch is the real one: float16 features, in memory or mapped from disk, converted, segments hidden, two convolutions
of 500 kernels, softmax over the average-pooled CAM, Adam. The products are those of its forward and backward pass
alone, with as many rows in each batch, on random float32 matrices that are ready in memory.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hasvideo.features.store import FeatureMeta, FeatureStore
from hasvideo.networks.config import TemporalConfig
from hasvideo.networks.temporal import TemporalNetwork
from hasvideo.settings import TrainingConfig
from hasvideo.training import Augmented, Engine, EpochBatches
from hasvideo.types import TimeGrid
from hasvideo.video.dataset import FeatureVideos, collate, load_features
from hasvideo.video.fitting import SegmentHider, VideoCriterion
from hasvideo.video.recipe import HidingConfig

DIM, CLASSES = 2048, 20
CONFIG = TrainingConfig()


def write_features(folder: Path, videos: int) -> FeatureStore:
    """Random features of 500 to 1000 time steps a video."""
    rng = np.random.default_rng(0)
    store = FeatureStore.create(folder, FeatureMeta("i3d", "", TimeGrid(25, 16, 16), DIM))
    noise = rng.random((1000, DIM), dtype=np.float32).astype(np.float16)
    for v in range(videos):
        store.save(f"video_{v:04}", np.roll(noise, v, axis=0)[: rng.integers(500, 1001)])
    return store


def products(lengths: list[int], network: TemporalConfig) -> float:
    """Seconds that the matrix products of an epoch take."""
    total = 0.0
    width = network.channels * network.kernel
    first, second = torch.rand(DIM, width), torch.rand(network.channels, width)
    head = torch.rand(network.channels, CLASSES)
    for batch in EpochBatches(len(lengths), CONFIG.batch_size, (0, 0)):
        rows = sum(lengths[v] for v in batch)
        x, hidden = torch.rand(rows, DIM), torch.rand(rows, network.channels)
        spread, scores = torch.rand(rows, width), torch.rand(rows, CLASSES)
        start = time.perf_counter()
        _ = x @ first, hidden @ second, hidden @ head  # forward
        _ = x.t() @ spread, hidden.t() @ spread, hidden.t() @ scores  # gradients of the weights
        _ = spread @ second.t(), scores @ head.t()  # gradients of what lies between
        total += time.perf_counter() - start
    return total


def epoch(features: list[np.ndarray], config: TemporalConfig, epochs: int) -> float:
    """Seconds of the fastest of some training epochs."""
    labels = [[str(v % CLASSES)] for v in range(len(features))]
    network = TemporalNetwork(config)
    samples = Augmented(
        FeatureVideos(features, labels, [str(c) for c in range(CLASSES)]), SegmentHider(network, HidingConfig()), seed=0
    )
    engine = Engine(network, VideoCriterion("softmax"), CONFIG, collate, device="cpu")
    times = []
    for number in range(epochs):
        start = time.perf_counter()
        engine.train_one_epoch(samples, number)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3, help="of which the fastest counts, as for the products")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        store = write_features(Path(folder) / "features", arguments.videos)
        memory = load_features(store, store.videos())
        lengths = [len(array) for array in memory]
        print(f"{len(lengths)} videos, {sum(lengths)} features of {DIM} dimensions, {arguments.threads} thread(s)")
        print("kernel  matrix products     in memory, float16        mapped from disk")
        for kernel in (1, 3):
            config = replace(TemporalConfig(), in_channels=DIM, num_classes=CLASSES, kernel=kernel)
            least = min(products(lengths, config) for _ in range(arguments.epochs))
            times = [
                epoch(load_features(store, store.videos(), mmap), config, arguments.epochs) for mmap in (False, True)
            ]
            cells = "".join(f"{seconds:>14.2f} s, {seconds / least:.2f} x" for seconds in times)
            print(f"{kernel:>6} {least:>14.2f} s {cells}")


if __name__ == "__main__":
    main()
