"""Make the features of one video after the other, each under a lock of its own: what every worker does.

The lock is held while a video is worked on: any number of processes, also on other machines that share the folder,
fill it together. The system frees the lock of a process that dies, so nothing has to be cleaned up after it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hasvideo.errors import DecodeError, HasvideoError, UsageError
from hasvideo.features.manifest import LOCKS, Manifest, Record
from hasvideo.features.store import FeatureStore, is_outdated, open_store
from hasvideo.files import file_sha256

if TYPE_CHECKING:
    from hasvideo.features.extractors import Extractor


@dataclass(frozen=True)
class Extraction:
    """How features are made.

    Attributes:
        extractor: see :func:`hasvideo.features.extractors.load_extractor`.
        decoder: ``decord``, ``torchcodec`` or ``pyav``.
        engine: ``auto``, ``torch`` or ``openvino``; ``ray``, ``ray+torch`` or ``ray+openvino`` works on a Ray cluster.
        device: ``auto`` (a GPU that works, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        weights: file of the extractor's weights; None: its own.
        dtype: of the features' files, ``float16`` or ``float32``.
        ray_address: of the cluster; see :func:`hasvideo.features.ray_pool.run_on_ray`.
    """

    extractor: str = "i3d"
    decoder: str = "decord"
    engine: str = "auto"
    device: str = "auto"
    weights: Path | None = None
    dtype: str = "float16"
    ray_address: str | None = None

    def load(self) -> Extractor:
        """Load the extractor, with the engine that is left without ``ray``.

        Raises:
            UsageError, HasvideoError: see :func:`hasvideo.features.extractors.load_extractor`.
        """
        from hasvideo.features.extractors import load_extractor

        return load_extractor(self.extractor, split_engine(self.engine)[1], self.device, self.weights)


def split_engine(engine: str, ray_address: str | None = None) -> tuple[bool, str]:
    """Say whether an engine is a Ray cluster, and which is the engine of the network.

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


class Task(NamedTuple):
    """A video to work on.

    Attributes:
        id: names its features.
        path: the video's file.
        verify: compare the hash of features that are there.
        wait: for another process that is at it.
    """

    id: str
    path: Path
    verify: bool = False
    wait: bool = False


def find_flaw(
    store: FeatureStore,
    record: Record | None,
    video: str,
    path: Path | None,
    verify: bool = False,
    ready_made: bool = False,
) -> str | None:
    """Say what is wrong with a video's features: None if nothing, empty if there are none that can be trusted.

    A video whose file is gone keeps its features.

    Args:
        store: the folder.
        record: what its manifest says of the video, if it does.
        video: id.
        path: the video's file; None: it is not at hand, and whatever features there are have to do.
        verify: read the features, and compare their hash with the record's.
        ready_made: trust features that no manifest tells of, but those that a known extractor made before the video's
            file was changed.

    Raises:
        HasvideoError, OSError: (when verified) the features cannot be read.
    """
    if video not in store:
        return ""
    if path is None:
        return None
    if record is None or record.error:
        changed = bool(store.meta.weights_sha256) and is_outdated(store, video, path)
        return None if ready_made and not changed else ""
    if is_outdated(store, video, path, record.size):
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


class Maker:
    """Makes the features of one video after the other, with an extractor that is loaded once.

    Args:
        folder: of features.
        how: they are made.

    Raises:
        UsageError, HasvideoError: see :func:`fill`.
    """

    def __init__(self, folder: Path, how: Extraction) -> None:
        from hasvideo.frames.decode import require_decoder

        require_decoder(how.decoder)
        self._how, self._extractor = how, how.load()
        self._store = open_store(folder, self._extractor, how.dtype)
        self._manifest = Manifest(folder)
        (folder / LOCKS).mkdir(exist_ok=True)

    def __call__(self, task: Task) -> Record | None:
        """Work on a video and say what came of it; None if another process is at it, and is not to be waited for.

        A record without a hash and an error says that there was nothing to do: another process has done it by now.

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
        from hasvideo.features.extract_one import extract_features

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
