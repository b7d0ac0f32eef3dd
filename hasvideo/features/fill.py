"""Fill a feature folder: what is there is kept, what is missing or damaged is made, by one process or by many."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from hasvideo.device import check_name, resolve_device
from hasvideo.errors import UsageError
from hasvideo.features.make import Extraction, Maker, Task, find_flaw, split_engine
from hasvideo.features.manifest import Manifest, Record
from hasvideo.features.store import DTYPES, META, FeatureStore, open_store, remove_leftovers


@dataclass(frozen=True)
class Filled:
    """What came of filling a folder.

    Attributes:
        store: the folder.
        made: records of the videos whose features were made, in the order in which they were finished.
        kept: how many had theirs already.
        failed: reasons by video.
    """

    store: FeatureStore
    made: tuple[Record, ...]
    kept: int
    failed: dict[str, str]


class Runner(Protocol):
    """Works on tasks, in any order, and says what came of each; None: another process is at it."""

    def __call__(self, folder: Path, how: Extraction, tasks: list[Task]) -> Iterator[tuple[Task, Record | None]]:
        """Yield every task with what came of it."""
        ...


def fill(
    folder: Path,
    videos: Mapping[str, Path | None],
    how: Extraction | None = None,
    *,
    workers: int | None = None,
    verify: bool = False,
    ready_made: bool = False,
    progress: bool = True,
) -> Filled:
    """Make the features that a folder lacks of some videos.

    A video is done if the manifest knows its features, they are as it says, and the video's file has neither another
    size nor a later date. Killed at any moment, no more is lost than the videos in work.

    Args:
        folder: of features; made if it is not there.
        videos: files by id; None where a file is not at hand, so that its features have to be there.
        how: they are made; None: by the defaults.
        workers: processes, each with its own network; None: one, or as many as a Ray cluster has machines or GPUs. More
            than one are spawned, so that a script needs its ``if __name__ == "__main__":``.
        verify: read the features that are there, and make those anew whose hash is not the manifest's.
        ready_made: take the folder as it is: its dtype instead of the one given, and features that its manifest does
            not know, as far as a known extractor did not make them before the video's file was changed.
        progress: show a bar on standard error.

    Raises:
        UsageError: a wrong extractor, decoder, engine, device, dtype, address of a cluster or number of workers; or
            features are missing of a video without a file.
        HasvideoError: the folder holds other features, is packed and lacks some, or cannot be written (disk full);
            weights cannot be had; workers die before they are ready; or a Ray cluster cannot be reached. That a video
            cannot be read is no error, but in ``failed``.
    """
    from hasvideo.frames.decode import check_request

    how = how or Extraction()
    on_ray, engine = split_engine(how.engine, how.ray_address)
    check_name(how.device)
    if workers is not None and workers < 1:
        raise UsageError(f"workers must be at least 1, got {workers}")
    if how.dtype not in DTYPES:
        raise UsageError(f"unknown dtype {how.dtype!r}; accepted: {', '.join(DTYPES)}")
    check_request(how.decoder, None, None, None, None)
    store = FeatureStore(folder) if (folder / META).exists() else None
    todo = _unfinished(folder, store, videos, verify, ready_made)
    if store is not None and ready_made:
        how = replace(how, dtype=store.meta.dtype)
    if store is not None and not todo:
        alike = ready_made or (store.meta.extractor, store.meta.dtype) == (how.extractor, how.dtype)
        if how.weights or not alike:
            store = open_store(folder, how.load(), how.dtype)  # says what differs
        return Filled(store, (), len(videos), {})
    remove_leftovers(folder)
    if not on_ray:
        how = replace(how, device=resolve_device(how.device, engine))
    results = _fill(folder, how, todo, workers, progress)
    failed = {record.id: record.error for record in results if record.error}
    made = tuple(record for record in results if record.sha256)
    return Filled(FeatureStore(folder), made, len(videos) - len(made) - len(failed), failed)


def _unfinished(
    folder: Path, store: FeatureStore | None, videos: Mapping[str, Path | None], verify: bool, ready_made: bool
) -> list[Task]:
    """List the videos whose features have to be made."""
    records = Manifest(folder).records() if store else {}
    todo, lost = [], []
    for video, path in videos.items():
        flaw = find_flaw(store, records.get(video), video, path, verify, ready_made) if store else ""
        if flaw:
            warnings.warn(f"made anew: {flaw}", stacklevel=4)
        if flaw is None:
            continue
        if path is None:
            lost.append(video)
        else:
            todo.append(Task(video, path, verify))
    if lost:
        raise UsageError(f"{folder} has no features of {', '.join(lost[:5])}: give the videos too")
    if todo and store:
        store.require_unpacked()
    return todo


def _fill(folder: Path, how: Extraction, todo: list[Task], workers: int | None, progress: bool) -> list[Record]:
    """Make the features, and return the records of all videos that were worked on here."""
    from tqdm import tqdm

    run = _runner(how, min(workers, len(todo)) if workers else None)
    records = []
    with tqdm(total=len(todo), desc="videos", unit="video", file=sys.stderr, disable=not progress, leave=False) as bar:
        busy: list[Task] = []
        for task, record in run(folder, how, todo):
            if record is None:
                busy.append(task._replace(wait=True))
                continue
            records.append(record)
            bar.update()
        if busy:
            bar.set_description("waiting for another process")
            for _, record in run(folder, how, busy):
                assert record is not None
                records.append(record)
                bar.update()
    return records


def _runner(how: Extraction, workers: int | None) -> Runner:
    if split_engine(how.engine)[0]:
        from hasvideo.features.ray_pool import fill_on_ray

        return partial(fill_on_ray, workers=workers)
    if workers and workers > 1:
        from hasvideo.features.workers import run_in_processes

        return partial(run_in_processes, workers=workers)
    return run_here


def run_here(folder: Path, how: Extraction, tasks: list[Task]) -> Iterator[tuple[Task, Record | None]]:
    """Work in this process: a :class:`Runner`."""
    maker = Maker(folder, how)
    for task in tasks:
        yield task, maker(task)
