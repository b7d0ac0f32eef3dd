"""The built-in Kinetics-400 model on untrimmed videos of actions that it knows: AP, recall, top-1 of instances.

Nothing is trained or chosen here: the command's own defaults, with the classes named.

    python benchmarks/kinetics_zero_shot.py ../shared/data/ut-composed --subset test
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hasvideo.datasets.annotations import Annotations, load_annotations
from hasvideo.localize import Choice, Localizer
from hasvideo.metrics.detection import match
from hasvideo.types import Detections

CLASSES = {"handshake": "shaking hands", "hug": "hugging", "kick": "side kick"}
TIOU = (0.1, 0.2, 0.3, 0.4, 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with annotations.json and videos/")
    parser.add_argument("--subset", default="test")
    options = parser.parse_args()
    truth = load_annotations(options.data / "annotations.json").select(options.subset)
    localizer = Localizer()
    every = Choice(classes=localizer.model.classes)
    found, ranks = [], {label: [] for label in CLASSES}
    for name in tqdm(truth.videos):
        detections = localizer(options.data / "videos" / f"{name}.mp4", every)
        for label, rank in _ranks(detections, truth, name):
            ranks[label].append(rank)
        found.append(_of_our_classes(detections))
    matches = match(found, truth, tiou=TIOU, classes=list(CLASSES))
    summary = matches.summary()
    print(f"{len(truth.videos)} videos of {options.subset}; AP %, activitynet protocol")
    print(
        f"{'class':10} {'instances':>9} " + " ".join(f"{t:>6}" for t in TIOU) + "  recall@0.3 recall@0.5  top-1  top-5"
    )
    for label in CLASSES:
        ap = [100 * summary["AP"][label][str(t)] for t in TIOU]
        recall = [100 * matches.precision_recall(t)[label][1].max(initial=0.0) for t in (0.3, 0.5)]
        top = [100 * float(np.mean(np.array(ranks[label]) < k)) for k in (1, 5)]
        print(f"{label:10} {len(ranks[label]):9} " + " ".join(f"{v:6.1f}" for v in ap)
              + f"  {recall[0]:10.0f} {recall[1]:10.0f}  {top[0]:5.0f}  {top[1]:5.0f}")  # fmt: skip
    print("mean" + " " * 17 + " ".join(f"{100 * summary['mAP'][str(t)]:6.1f}" for t in TIOU))


def _of_our_classes(detections: Detections) -> Detections:
    own = {kinetics: label for label, kinetics in CLASSES.items()}
    kept = tuple(replace(i, label=own[i.label]) for i in detections.intervals if i.label in own)
    return replace(detections, intervals=kept)


def _ranks(detections: Detections, truth: Annotations, video: str) -> list[tuple[str, int]]:
    """For each instance of our classes: how many of the 400 classes score higher over the time steps inside it."""
    middles = (detections.edges[1:] + detections.edges[:-1]) / 2
    labels = [a.label for a in detections.activations]
    cams = np.stack([a.cam for a in detections.activations])
    ranks = []
    for instance in truth.videos[video].instances:
        inside = (middles >= instance.start) & (middles <= instance.end)
        if instance.label in CLASSES and inside.any():
            means = cams[:, inside].mean(axis=1)
            ranks.append((instance.label, int((means > means[labels.index(CLASSES[instance.label])]).sum())))
    return ranks


if __name__ == "__main__":
    main()
