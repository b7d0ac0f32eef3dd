"""Fill a feature folder: what is there is kept, what is missing or damaged is made, by one process or by many.

Every video has a lock, held while it is worked on: any number of processes, also on other machines that share the
folder, fill it together. The system frees the lock of a process that dies, so nothing has to be cleaned up after it.
"""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hasvideo.errors import DecodeError, HasvideoError, UsageError
from hasvideo.files import file_sha256
from hasvideo.video.features import META, FeatureMeta, FeatureStore, remove_leftovers
from hasvideo.video.manifest import LOCKS, Manifest, Record

if TYPE_CHECKING:
    from hasvideo.video.extractors import Extractor


@dataclass(frozen=True)
class Extraction:
    """How features are made.

    Attributes:
        extractor: see :func:`hasvideo.video.extractors.load_extractor`.
        decoder: ``decord``, ``torchcodec`` or ``pyav``.
        engine: ``auto``, ``torch`` or ``openvino``; ``ray``, ``ray+torch`` or ``ray+openvino`` works on a Ray cluster.
        device: ``cpu`` or a torch device.
        weights: file of the extractor's weights; None: its own.
        dtype: of the features' files, ``float16`` or ``float32``.
        ray_address: of the cluster; see :func:`hasvideo.video.ray_engine.run_on_ray`.
    """

    extractor: str = "i3d"
    decoder: str = "decord"
    engine: str = "auto"
    device: str = "cpu"
    weights: Path | None = None
    dtype: str = "float16"
    ray_address: str | None = None

    def load(self) -> Extractor:
        """The extractor; see :func:`hasvideo.video.extractors.load_extractor` for errors."""
        from hasvideo.video.extractors import load_extractor

        return load_extractor(self.extractor, split_engine(self.engine)[1], self.device, self.weights)


def split_engine(engine: str, ray_address: str | None = None) -> tuple[bool, str]:
    """Whether an engine is a Ray cluster, and the engine of the network.

    >>> split_engine("ray+torch"), split_engine("ray"), split_engine("openvino")
    ((True, 'torch'), (True, 'auto'), (False, 'openvino'))

    Raises:
        UsageError: the address of a cluster for another engine.
    """
    first, _, rest = engine.partition("+")
    if first == "ray":
        return True, rest or "auto"
    if ray_address is not None:
        raise UsageError(f"--ray-address is for --engine ray, not for --engine {engine}")
    return False, engine


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


class Task(NamedTuple):
    """A video to work on: ``verify`` the hash of what is there; ``wait`` if another process is at it."""

    id: str
    path: Path
    verify: bool = False
    wait: bool = False


class Runner(Protocol):
    """Works on tasks, in any order, and says what came of each; None: another process is at it."""

    def __call__(self, folder: Path, how: Extraction, tasks: list[Task]) -> Iterator[tuple[Task, Record | None]]:
        """Yield every task with what came of it."""
        ...


def fill(
    folder: Path,
    videos: Mapping[str, Path],
    how: Extraction | None = None,
    *,
    workers: int | None = None,
    verify: bool = False,
    progress: bool = True,
) -> Filled:
    """Make the features that a folder lacks of some videos.

    A video is done if the manifest knows its features, they are as it says, and the video's file has neither another
    size nor a later date. Killed at any moment, no more is lost than the videos in work.

    Args:
        folder: of features; made if it is not there.
        videos: files by id.
        how: extractor, decoder, engine, device and dtype.
        workers: processes, each with its own network; None: one, or as many as a Ray cluster has machines or GPUs. More
            than one are spawned, so that a script needs its ``if __name__ == "__main__":``.
        verify: read the features that are there, and make those anew whose hash is not the manifest's.
        progress: show a bar on standard error.

    Raises:
        UsageError: a wrong extractor, decoder, engine, device, dtype or number of workers.
        HasvideoError: the folder holds other features or cannot be written (disk full), or weights cannot be had.
    """
    from hasvideo.video.decode import check_request
    from hasvideo.video.features import DTYPES

    how = how or Extraction()
    split_engine(how.engine, how.ray_address)
    if workers is not None and workers < 1:
        raise UsageError(f"workers must be at least 1, got {workers}")
    if how.dtype not in DTYPES:
        raise UsageError(f"unknown dtype {how.dtype!r}; accepted: {', '.join(DTYPES)}")
    check_request(how.decoder, None, None, None, None)
    todo = _unfinished(folder, videos, verify)
    if (folder / META).exists() and not todo:
        store = FeatureStore(folder)
        if how.weights or (store.meta.extractor, store.meta.dtype) != (how.extractor, how.dtype):
            store = open_store(folder, how.load(), how.dtype)  # says what differs
        return Filled(store, (), len(videos), {})
    remove_leftovers(folder)
    results = _fill(folder, how, todo, workers, progress)
    failed = {record.id: record.error for record in results if record.error}
    made = tuple(record for record in results if record.sha256)
    return Filled(FeatureStore(folder), made, len(videos) - len(made) - len(failed), failed)


def _unfinished(folder: Path, videos: Mapping[str, Path], verify: bool) -> list[Task]:
    if not (folder / META).exists():
        return [Task(video, path) for video, path in videos.items()]
    store, records = FeatureStore(folder), Manifest(folder).records()
    todo = []
    for video, path in videos.items():
        flaw = find_flaw(store, records.get(video), video, path, verify)
        if flaw:
            warnings.warn(f"made anew: {flaw}", stacklevel=4)
        if flaw is not None:
            todo.append(Task(video, path, verify))
    if todo:
        store.require_unpacked()
    return todo


def find_flaw(store: FeatureStore, record: Record | None, video: str, path: Path, verify: bool = False) -> str | None:
    """What is wrong with a video's features: None if nothing, empty if there are none yet."""
    if record is None or record.error or video not in store:
        return ""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if path.stat().st_size != record.size or is_outdated(store, video, path):
            return f"{path} changed after its features were made"
    try:
        shape, dtype = store.describe(video)
    except HasvideoError as error:
        return str(error)
    if (shape, dtype) != (record.shape, record.dtype):
        return f"{store.path(video)} holds {dtype} {shape}, not {record.dtype} {record.shape} as was written"
    if verify and store.sha256(video) != record.sha256:
        return f"{store.path(video)} has another hash than when it was written"
    return None


def is_outdated(store: FeatureStore, video: str, path: Path) -> bool:
    """Whether a video was changed after its features were made."""
    return path.stat().st_mtime > store.path(video).stat().st_mtime


def open_store(folder: Path, extractor: Extractor, dtype: str) -> FeatureStore:
    """The folder for an extractor's features, made if it is not there.

    Raises:
        HasvideoError: it holds other features, or cannot be written.
    """
    meta = FeatureMeta(extractor.name, extractor.weights_sha256, extractor.grid, extractor.dim, dtype)
    return FeatureStore.create(folder, meta)


def _fill(folder: Path, how: Extraction, todo: list[Task], workers: int | None, progress: bool) -> list[Record]:
    """Records of all videos that were worked on here."""
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
        from hasvideo.video.ray_engine import fill_on_ray

        return partial(fill_on_ray, workers=workers)
    if workers and workers > 1:
        from hasvideo.video.workers import run_in_processes

        return partial(run_in_processes, workers=workers)
    return run_here


def run_here(folder: Path, how: Extraction, tasks: list[Task]) -> Iterator[tuple[Task, Record | None]]:
    """A :class:`Runner` in this process."""
    maker = Maker(folder, how)
    for task in tasks:
        yield task, maker(task)


class Maker:
    """Makes the features of one video after the other, with an extractor that is loaded once.

    Args:
        folder: of features.
        how: they are made.

    Raises:
        UsageError, HasvideoError: see :func:`fill`.
    """

    def __init__(self, folder: Path, how: Extraction) -> None:
        self._how, self._extractor = how, how.load()
        self._store = open_store(folder, self._extractor, how.dtype)
        self._manifest = Manifest(folder)
        (folder / LOCKS).mkdir(exist_ok=True)

    def __call__(self, task: Task) -> Record | None:
        """What came of a video, now or by another process; None if that is at it, and is not to be waited for.

        Raises:
            HasvideoError: the folder cannot be written.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self._store.folder / LOCKS / f"{task.id}.lock", timeout=-1 if task.wait else 0)
        try:
            with lock:
                record = self._manifest.records().get(task.id)
                if find_flaw(self._store, record, task.id, task.path, task.verify) is None:
                    return Record(task.id, str(task.path))
                record = self._make(task)
                self._manifest.add(record)
                return record
        except Timeout:
            return None
        except OSError as error:
            raise HasvideoError(f"cannot write to {self._store.folder}: {error.strerror or error}") from error

    def _make(self, task: Task) -> Record:
        from hasvideo.video.extraction import extract_features

        began = time.monotonic()
        try:
            found = extract_features(task.path, self._extractor, decoder=self._how.decoder)
            self._store.save(task.id, found.array)
            return Record(
                id=task.id,
                path=str(task.path),
                size=task.path.stat().st_size,
                shape=found.array.shape,
                dtype=self._how.dtype,
                sha256=file_sha256(self._store.path(task.id)),
                extractor=self._extractor.name,
                seconds=round(found.end - found.start, 3),
                took=round(time.monotonic() - began, 3),
            )
        except UsageError:
            raise
        except HasvideoError as error:
            # A folder that cannot be written: no other video would fare better.
            if isinstance(error.__cause__, OSError) and not isinstance(error, DecodeError):
                raise
            reason = str(error)
        except Exception as error:  # of a network on one odd video; the others are not to wait for its cure
            what = " ".join(f"{type(error).__name__}: {error}".split())
            reason = f"{task.path}: {self._extractor.name} failed ({what})"
        return Record(task.id, str(task.path), error=reason)
