"""What following costs: `localize --follow` on the test videos end to end as one stream, against each as a whole file.

The model is trained as `hasvideo train` does it. In the stream nothing says where a video ends, and an interval is told
before it is known what comes after.

    python benchmarks/follow_accuracy.py ../shared/data/ut-composed --look-back 15 30 60 120 300
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from temporal_hiding import LOW, META, Data, load

from hasvideo.datasets.annotations import Annotations, Instance
from hasvideo.metrics.detection import match
from hasvideo.types import Detections, Interval, VideoInfo
from hasvideo.video.fitting import detect, fit
from hasvideo.video.model import Model
from hasvideo.video.recipe import OWN_VIDEOS
from hasvideo.video.stream import Follower

BLOCK = 16  # features that I3D gives at once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with annotations.json and i3d_features/")
    parser.add_argument("--look-back", type=float, nargs="+", default=[15, 30, 60, 120, 300])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    train, test = load(options.data, "train"), load(options.data, "test")
    rows: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        model = _train(train, test, seed)
        whole = detect(model, test[1], {v: len(f) * model.grid.step for v, f in test[1].items()})
        rows.setdefault("each video as a file", []).append(_score(whole, test[0]))
        truth, features = _joined(test)
        (one,) = detect(model, {"all": features}, {"all": len(features) * model.grid.step})
        rows.setdefault("all as one file", []).append(_score([one], truth))
        for look_back in options.look_back:
            found = _follow(model, features, look_back)
            rows.setdefault(f"followed, looking back {look_back:g} s", []).append(_score([found], truth))
    print("| | mAP 0.1-0.5 | |\n|---|---|---|")
    for name, scores in rows.items():
        print(f"| {name} | {100 * np.mean(scores):.1f} | {' '.join(f'{100 * s:.1f}' for s in scores)} |")


def _train(train: Data, test: Data, seed: int) -> Model:
    recipe = replace(OWN_VIDEOS, training=replace(OWN_VIDEOS.training, seed=seed))
    truth, features = train
    labels = [truth.videos[v].labels for v in features]
    return fit(list(features.values()), labels, META, recipe, classes=test[0].labels, progress=False)[0]


def _joined(data: Data) -> tuple[Annotations, np.ndarray]:
    truth, features = data
    instances, begin = [], 0.0
    for video, sequence in features.items():
        instances += [Instance(i.label, i.start + begin, i.end + begin) for i in truth.videos[video].instances]
        begin += len(sequence) * META.grid.step
    whole = replace(next(iter(truth.videos.values())), instances=tuple(instances), duration=begin)
    return replace(truth, videos={"all": whole}), np.concatenate(list(features.values()))


def _follow(model: Model, features: np.ndarray, look_back: float) -> Detections:
    follower = Follower(model, model.grid, look_back=look_back)
    intervals: list[Interval] = []
    for first in range(0, len(features), BLOCK):
        intervals += follower.feed(features[first : first + BLOCK])
    intervals += follower.finish()
    info = VideoInfo(Path("all"), len(features) * model.grid.step, model.grid.fps, 0, 0)
    return Detections("all", info, tuple(sorted(intervals, key=lambda i: -i.score)))


def _score(found: list[Detections], truth: Annotations) -> float:
    average = match(found, truth, tiou=LOW).summary()["mAP"]
    return float(np.mean([average[str(t)] for t in LOW]))


if __name__ == "__main__":
    main()
