"""A feature folder of very many videos: a file a video beside shards, and beside plain numpy.

    python benchmarks/feature_store.py [--videos 100000] [--steps 8] [--reads 5000] [--folder /data/tmp]

Seconds of each on the wall and of the processor. "Cold" reads come after the kernel was asked to forget the files'
contents; it keeps their names, so that what a cluster's file system takes for looking them up is not in here: run it
with a ``--folder`` there.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hasvideo.features.manifest import MANIFEST, Manifest, Record
from hasvideo.features.shards import Kind
from hasvideo.features.store import FeatureMeta, FeatureStore
from hasvideo.output.tables import aligned
from hasvideo.pack import pack
from hasvideo.types import TimeGrid

DIM = 1024
META = FeatureMeta("i3d", "ab" * 32, TimeGrid(25, 99, 8, -42), DIM)


def write_features(folder: Path, videos: int, steps: int) -> FeatureStore:
    """Random features, and a manifest of them."""
    store = FeatureStore.create(folder, META)
    noise = np.random.default_rng(0).normal(size=(steps, DIM)).astype(np.float16)
    lines = []
    for number in range(videos):
        video = f"video_{number:07}"
        np.save(store.path(video), noise + np.float16(number % 100))
        record = Record(video, f"/videos/{video}.mp4", 10**6, noise.shape, "float16", "ab" * 32, "i3d", 10.0, 2.0)
        lines.append(record.to_json() + "\n")
    (folder / MANIFEST).write_text("".join(lines))
    return store


def seconds(work: Callable[[], object]) -> list[str]:
    """On the wall and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return [f"{time.perf_counter() - wall:.2f}", f"{time.process_time() - processor:.2f}"]


def forget(folder: Path) -> None:
    """Drop the files' contents from the page cache."""
    os.sync()
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def measure(work: dict[str, Callable[[], object]], rounds: int = 3) -> dict[str, list[str]]:
    """Medians over rounds in which all kinds take turns."""
    times: dict[str, list[list[str]]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, act in work.items():
            times[name].append(seconds(act))
    return {
        name: [sorted(column, key=float)[rounds // 2] for column in zip(*of, strict=True)] for name, of in times.items()
    }


def plain_list(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.npy"))


def describe_all(store: FeatureStore, videos: Sequence[str]) -> list[Kind]:
    return [store.describe(video) for video in videos]


def table(plain: Path, packed: Path, reads: Sequence[str], rounds: int) -> list[list[str]]:
    """Make a table with a row for each kind of work; columns: wall and processor for numpy, files, shards."""
    files, shards = FeatureStore(plain), FeatureStore(packed)
    everything = files.videos()

    def cold(folder: Path, work: Callable[[], object]) -> list[str]:
        forget(folder)
        return seconds(work)

    def read(load: Callable[[str], np.ndarray]) -> Callable[[], object]:
        return lambda: [load(video) for video in reads]

    def load_plain(video: str) -> np.ndarray:
        return np.load(plain / f"{video}.npy")

    kinds = {
        "open, list": {
            "numpy": lambda: plain_list(plain),
            "files": lambda: FeatureStore(plain).videos(),
            "shards": lambda: FeatureStore(packed).videos(),
        },
        "which of them are there": {
            "numpy": lambda: [video for video in everything if (plain / f"{video}.npy").is_file()],
            "files": lambda: files.lacking(everything),
            "shards": lambda: shards.lacking(everything),
        },
        "shapes of all": {
            "numpy": lambda: [load_plain(video).shape for video in everything],
            "files": lambda: describe_all(files, everything),
            "shards": lambda: describe_all(FeatureStore(packed), everything),
        },
        f"read {len(reads)} at random": {
            "numpy": read(load_plain), "files": read(files.load), "shards": read(shards.load)
        },
    }  # fmt: skip
    rows = []
    for kind, work in kinds.items():
        found = measure(work, rounds)
        rows.append([kind, *found["numpy"], *found["files"], *found["shards"]])
    readers = ((plain, load_plain), (plain, files.load), (packed, shards.load))
    rows.append(
        [f"read {len(reads)} at random, cold", *(x for where, load in readers for x in cold(where, read(load)))]
    )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=8, help="features of a video")
    parser.add_argument("--reads", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where to write; by default the system's for such")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        plain, packed = Path(name) / "features", Path(name) / "packed"
        write_features(plain, arguments.videos, arguments.steps)
        packing = seconds(lambda: pack(plain, packed, progress=False))
        manifest = seconds(lambda: Manifest(plain).records())
        videos = FeatureStore(plain).videos()
        reads = list(np.random.default_rng(1).permutation(videos)[: arguments.reads])
        header = ["seconds: wall, processor", "numpy", "", "files", "", "shards", ""]
        print(aligned([header, *table(plain, packed, reads, arguments.rounds)], header[:1]))
        print(f"\npack: {packing[0]} wall, {packing[1]} processor; manifest read: {manifest[0]}, {manifest[1]}")
        for folder in (plain, packed):
            states = [path.stat() for path in folder.iterdir()]
            size, blocks = sum(s.st_size for s in states), sum(s.st_blocks for s in states) * 512
            print(f"{folder.name}: {len(states)} files, {size / 1e6:.1f} MB, {blocks / 1e6:.1f} MB on disk")


if __name__ == "__main__":
    main()
