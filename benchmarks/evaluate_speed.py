"""Time of the evaluator against the number of detections, and against plain loops of the public ActivityNet kind.

    python benchmarks/evaluate_speed.py [--sizes 3000 30000 300000] [--loops-up-to 30000]

212 videos, 20 classes, 3358 instances and 10 thresholds, as in THUMOS14. Two thirds of the detections are jittered
instances, so that most compete for ground truth; the rest are anywhere. Times are seconds of one processor, from the
two loaded JSON objects to the result, checks included; the best of three, of the loops one.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hasvideo.metrics.detection import mean_average_precision

TIOU = np.linspace(0.1, 0.95, 10)
VIDEOS, CLASSES, INSTANCES = 212, 20, 3358


def make_ground_truth(rng: np.random.Generator) -> dict[str, Any]:
    """Make an ActivityNet database of THUMOS14's size: a class for each video, actions of seconds in minutes."""
    database: dict[str, Any] = {f"video_{v:04}": {"subset": "test", "annotations": []} for v in range(VIDEOS)}
    for v in np.sort(rng.integers(0, VIDEOS, INSTANCES)):
        start = float(rng.uniform(0, 200))
        segment = [start, start + float(rng.gamma(2.0, 2.5)) + 0.1]
        database[f"video_{v:04}"]["annotations"].append({"label": f"class_{v % CLASSES:02}", "segment": segment})
    return {"database": database}


def make_detections(count: int, ground_truth: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Make an ActivityNet submission of ``count`` detections."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in ground_truth["database"]}
    instances = [(name, item) for name, video in ground_truth["database"].items() for item in video["annotations"]]
    for _ in range(count):
        name, item = instances[rng.integers(len(instances))]
        start, end = item["segment"]
        if rng.random() < 1 / 3:
            start = rng.uniform(0, 200)
            end = start + rng.gamma(2.0, 2.5) + 0.1
        spread = 0.3 * (end - start)
        segment = [start + rng.normal(0, spread), end + rng.normal(0, spread)]
        segment = [min(segment), max(segment) + 0.01]
        results[name].append({"label": item["label"], "score": float(rng.random()), "segment": segment})
    return {"results": results}


def plain_loops(detections: dict[str, Any], ground_truth: dict[str, Any]) -> float:
    """Average mAP by loops over classes, detections, thresholds and ground truths, on lists and dicts."""
    truth, found = _rows(ground_truth["database"], "annotations"), _rows(detections["results"], "")
    ap = []
    for label in sorted({row["label"] for row in truth}):
        by_video: dict[str, list[Any]] = {}
        for row in truth:
            if row["label"] == label:
                by_video.setdefault(row["video"], []).append((row["id"], row["start"], row["end"]))
        mine = [row for row in found if row["label"] == label]
        order = np.argsort([row["score"] for row in mine], kind="stable")[::-1]
        here = {name: np.array(rows) for name, rows in by_video.items()}
        ap.append(_class_ap((mine[i] for i in order), len(mine), here.get, sum(map(len, by_video.values()))))
    return float(np.mean(ap))


def pandas_loops(detections: dict[str, Any], ground_truth: dict[str, Any]) -> float:
    """Run the same loops on data frames (``get_group``, ``iterrows``), as the public code does."""
    import pandas

    truth = pandas.DataFrame(_rows(ground_truth["database"], "annotations"))
    found = pandas.DataFrame(_rows(detections["results"], ""))
    ap = []
    for label, gts in truth.groupby("label"):
        by_video = gts.groupby("video")

        def here(name: str, by_video: Any = by_video) -> Any:
            if name not in by_video.groups:
                return None
            return by_video.get_group(name).reset_index(drop=True)[["id", "start", "end"]].values

        mine = found[found["label"] == label].reset_index(drop=True)
        order = np.argsort(mine["score"].values, kind="stable")[::-1]
        mine = mine.loc[order].reset_index(drop=True)
        ap.append(_class_ap((row for _, row in mine.iterrows()), len(mine), here, len(gts)))
    return float(np.mean(ap))


def _rows(videos: dict[str, Any], key: str) -> list[dict[str, Any]]:
    items = [(name, item) for name, video in videos.items() for item in (video[key] if key else video)]
    return [
        {"id": i, "video": name, "label": item["label"], "start": item["segment"][0], "end": item["segment"][1],
         "score": item.get("score", 1.0)}
        for i, (name, item) in enumerate(items)
    ]  # fmt: skip


def _class_ap(rows: Iterable[Any], count: int, here: Callable[[str], Any], positives: int) -> np.ndarray:
    taken: set[tuple[int, int]] = set()
    true = np.zeros((len(TIOU), count))
    for d, row in enumerate(rows):
        gts = here(row["video"])
        if gts is None:
            continue
        inter = (np.minimum(row["end"], gts[:, 2]) - np.maximum(row["start"], gts[:, 1])).clip(0)
        overlap = inter / ((gts[:, 2] - gts[:, 1]) + (row["end"] - row["start"]) - inter)
        order = np.argsort(overlap, kind="stable")[::-1]
        for t, threshold in enumerate(TIOU):
            for g in order:
                if overlap[g] < threshold:
                    break
                if (t, int(gts[g, 0])) not in taken:
                    taken.add((t, int(gts[g, 0])))
                    true[t, d] = 1
                    break
    return np.array([_interpolated(row, positives) for row in true])


def _interpolated(true: np.ndarray, positives: int) -> float:
    right = np.cumsum(true)
    precision = np.hstack([[0], right / np.arange(1, len(true) + 1), [0]])
    recall = np.hstack([[0], right / positives, [1]])
    for i in range(len(precision) - 1)[::-1]:
        precision[i] = max(precision[i], precision[i + 1])
    step = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(np.sum((recall[step] - recall[step - 1]) * precision[step]))


def best_of(times: int, work: Callable[[], Any]) -> tuple[float, Any]:
    """Shortest time of several runs, seconds, and the result."""
    taken = []
    for _ in range(times):
        begin = time.process_time()
        result = work()
        taken.append(time.process_time() - begin)
    return min(taken), result


def main() -> None:
    """Print the curve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[3_000, 10_000, 30_000, 100_000, 300_000])
    parser.add_argument("--loops-up-to", type=int, default=30_000, help="largest size that the plain loops run on")
    args = parser.parse_args()
    ground_truth = make_ground_truth(np.random.default_rng(0))
    print(f"{'detections':>10} {'activitynet':>12} {'thumos14':>10} {'plain loops':>19} {'pandas loops':>19}")
    for size in args.sizes:
        found = make_detections(size, ground_truth, np.random.default_rng(size))
        score = partial(mean_average_precision, found, ground_truth, tiou=TIOU)
        fast, result = best_of(3, score)
        kit, _ = best_of(3, partial(score, protocol="thumos14", classes=list(result["AP"])))
        line = f"{size:>10} {fast:>10.3f} s {kit:>8.3f} s"
        for loops in (plain_loops, pandas_loops) if size <= args.loops_up_to else ():
            slow, reference = best_of(1, partial(loops, found, ground_truth))
            if abs(reference - result["average_mAP"]) > 1e-9:
                raise SystemExit(f"{loops.__name__} gives {reference}, the evaluator {result['average_mAP']}")
            line += f" {slow:>9.2f} s ({slow / fast:>4.0f}x)"
        print(line, flush=True)


if __name__ == "__main__":
    main()
