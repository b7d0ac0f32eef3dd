"""Time of the threshold sweep over CAMs against a loop that finds contours threshold by threshold with OpenCV.

    pip install opencv-python-headless
    python benchmarks/localization_speed.py [--maps 1000] [--side 224] [--thresholds 100] [--sigma 1 2 3]
    python benchmarks/localization_speed.py --cams DATA RUNS

The loop is the public kind (compute_bboxes_from_scoremaps of wsolevaluation): per map and threshold it thresholds the
grey map, finds contours (RETR_TREE) and takes their bounding boxes. Maps are smooth noise on a grid of 14 x 14 cells,
blurred by a Gaussian of ``sigma`` cells and scaled up (bicubic); the larger sigma, the fewer maxima. With ``--cams``
they are the CAMs of the true classes by the models that image_hiding.py trained on DATA into RUNS, scaled up as the
package does. OpenCV's version matters: 4.12 is slower than those before and after it. Both run on one thread; times are
processor time, per map, the median of three runs of the loop and of nine of the sweep, which is short. First of all,
the boxes of all maps at all thresholds are compared, those of the outer contours and those around holes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from scipy import ndimage

from hasvideo.metrics.contours import SweptBoxes, sweep_boxes

CELLS = 14


def smooth_maps(count: int, side: int, sigma: float) -> np.ndarray:
    """Maps between 0 and 1, float32 ``(count, side, side)``."""
    rng = np.random.default_rng(0)
    maps = np.empty((count, side, side), np.float32)
    for target in maps:
        coarse = ndimage.gaussian_filter(rng.random((CELLS, CELLS)), sigma).astype(np.float32)
        target[...] = _unit(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))
    return maps


def real_cams(count: int, side: int, data: Path, runs: Path) -> np.ndarray:
    """CAMs of trained models, between 0 and 1, float32 ``(count, side, side)``."""
    from image_hiding import MAIN, Tests

    from hasvideo.extents import scale_map

    def every() -> Iterator[np.ndarray]:
        tests = Tests(data, runs, seeds=3)
        for name in MAIN:
            for test in tests.of(name):
                yield from (_unit(scale_map(known.cam, side, side)) for known in test.known.values())

    return np.stack(list(islice(every(), count)))


def _unit(fine: np.ndarray) -> np.ndarray:
    return (fine - fine.min()) / (fine.max() - fine.min())


def loop(scoremap: np.ndarray, thresholds: np.ndarray, every: bool = True) -> list[np.ndarray]:
    """Boxes at each threshold: of all contours, or of the one with the largest area."""
    height, width = scoremap.shape
    grey = np.expand_dims((scoremap * 255).astype(np.uint8), 2)
    found = []
    for threshold in thresholds:
        _, mask = cv2.threshold(grey, int(threshold * np.max(grey)), 255, cv2.THRESH_BINARY)
        contours: Any = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
        if not every:
            contours = [max(contours, key=cv2.contourArea)]
        boxes = []
        for contour in contours:
            x, y, w, h = cv2.boundingRect(contour)
            boxes.append([x, y, min(x + w, width - 1), min(y + h, height - 1)])
        found.append(np.asarray(boxes))
    return found


def contour_boxes(scoremap: np.ndarray, cut: int, holes: bool) -> list[tuple[int, ...]]:
    """Boxes of the outer contours, or with ``holes`` of all."""
    grey = (scoremap * 255).astype(np.uint8)
    _, mask = cv2.threshold(grey, cut, 255, cv2.THRESH_BINARY)
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outer = [holes or parent < 0 for *_, parent in hierarchy[0]] if contours else []
    rectangles = [cv2.boundingRect(contour) for contour, wanted in zip(contours, outer, strict=True) if wanted]
    return sorted((x, y, x + w, y + h) for x, y, w, h in rectangles)


def by_map_and_cut(swept: SweptBoxes) -> dict[tuple[int, int], list[tuple[int, ...]]]:
    """The sweep's boxes in order."""
    found: dict[tuple[int, int], list[tuple[int, ...]]] = {}
    for index, cut, corners in zip(swept.map.tolist(), swept.cut.tolist(), swept.corners.tolist(), strict=True):
        found.setdefault((index, cut), []).append(tuple(corners))
    return {key: sorted(boxes) for key, boxes in found.items()}


def count_differences(maps: np.ndarray, cuts: np.ndarray, holes: bool) -> int:
    """Pairs of a map and a threshold at which the sweep and OpenCV have different boxes."""
    found = by_map_and_cut(sweep_boxes(maps, cuts, holes=holes))
    return sum(
        found.get((index, number), []) != contour_boxes(scoremap, int(cut), holes)
        for index, scoremap in enumerate(maps)
        for number, cut in enumerate(cuts)
    )


def count_other_choices(maps: np.ndarray, cuts: np.ndarray) -> int:
    """Pairs at which the part with the most pixels is not the contour with the largest area."""
    found = by_map_and_cut(sweep_boxes(maps, cuts, largest=True))
    other = 0
    for index, scoremap in enumerate(maps):
        for number, boxes in enumerate(loop(scoremap, (cuts + 0.5) / 255, every=False)):
            side = scoremap.shape[0] - 1
            (left, top, right, bottom) = found[index, number][0]
            other += [left, top, min(right, side), min(bottom, side)] != boxes[0].tolist()
    return other


def seconds(work: Callable[[], Any], runs: int) -> float:
    """Processor time, the median of some runs."""
    taken = []
    for _ in range(runs):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return statistics.median(taken)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--maps", type=int, default=1000)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--thresholds", type=int, default=100)
    parser.add_argument("--sigma", type=float, nargs="+", default=[1.0, 2.0, 3.0])
    parser.add_argument("--cams", type=Path, nargs=2, metavar=("DATA", "RUNS"), help="of trained models, no noise")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    thresholds = np.arange(args.thresholds) / args.thresholds
    cuts = np.unique((thresholds * 255).astype(int))
    print(f"{args.maps} maps of {args.side} x {args.side}, {args.thresholds} thresholds; OpenCV {cv2.__version__}")
    sources: dict[str, Callable[[], np.ndarray]] = {
        f"sigma {sigma:g}": lambda sigma=sigma: smooth_maps(args.maps, args.side, sigma) for sigma in args.sigma
    }
    if args.cams:
        sources = {"CAMs": lambda: real_cams(args.maps, args.side, *args.cams)}
    for source, make in sources.items():
        maps = make()
        different = [count_differences(maps, cuts, holes) for holes in (False, True)]
        slow = seconds(lambda maps=maps: [loop(scoremap, thresholds) for scoremap in maps], 3)
        print(
            f"{source}: {different[0]} of {len(maps) * len(cuts)} different (with holes {different[1]}); "
            f"loop {1e3 * slow / len(maps):.2f} ms a map"
        )
        for name, options in (("outer contours", {}), ("and holes", {"holes": True}), ("largest", {"largest": True})):
            fast = seconds(lambda maps=maps, options=options: sweep_boxes(maps, cuts, **options), 9)
            print(f"  {name:<15} {1e3 * fast / len(maps):.3f} ms a map, {slow / fast:.1f} times as fast", flush=True)
        share = count_other_choices(maps[:100], cuts) / (len(maps[:100]) * len(cuts))
        print(f"  largest by pixels is not largest by the contour's area: {100 * share:.2f} % of the boxes")


if __name__ == "__main__":
    main()
