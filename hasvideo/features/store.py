"""The feature store: a folder of ``<video>.npy``, float16 or float32 ``(T, D)``, and one ``features.json``.

The arrays of many videos may be packed into shards instead (:mod:`hasvideo.features.shards`): no reader need know.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.scratch import blocks
from hasvideo.features.shards import INDEX, Shards
from hasvideo.files import atomic_path, file_sha256, read_text, write_text
from hasvideo.types import TimeGrid

if TYPE_CHECKING:
    from hasvideo.features.extractors import Extractor

META = "features.json"
DTYPES = ("float16", "float32")
_SUFFIX = ".npy"
_TEMPORARY = ".tmp-"  # the prefix of files that hasvideo.files.atomic_path has not finished
_LEFT_OVER = 3600.0  # seconds after which such a file is no longer being written


@dataclass(frozen=True)
class FeatureMeta:
    """What all features of a folder have in common.

    Attributes:
        extractor: name of what made them, such as ``i3d``.
        weights_sha256: hash of its weights; empty where unknown.
        grid: where in time they lie.
        dim: D, numbers in one feature.
        dtype: ``float16`` or ``float32``.

    Raises:
        ValueError: ``dim`` is below 1, or the dtype is another one.
    """

    extractor: str
    weights_sha256: str
    grid: TimeGrid
    dim: int
    dtype: str = "float16"

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ValueError(f"dim must be at least 1, got {self.dim}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")

    def to_json(self) -> str:
        """Write the text of ``features.json``: the grid's fields stand beside the others."""
        fields = asdict(self)
        fields.update(fields.pop("grid"))
        return json.dumps(fields, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> FeatureMeta:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: it is not such text.
        """
        fields = json.loads(text)
        grid = TimeGrid(fields["fps"], fields["window"], fields["stride"], fields.get("offset", 0))
        return cls(fields["extractor"], fields.get("weights_sha256", ""), grid, fields["dim"], fields["dtype"])


class FeatureStore:
    """A folder of features, packed or not: opened by its path, made by :meth:`create`.

    >>> store = FeatureStore(Path("features"))
    >>> store.meta.grid, store.videos()[:2], store.load("video_test_0000004").shape

    Raises:
        UsageError: there is no such folder, or it holds no ``features.json``.
        HasvideoError: its ``features.json`` is not one or may not be read, or its index of shards is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UsageError(f"no feature folder {self.folder}")
        path = self.folder / META
        if not path.is_file():
            raise UsageError(f"{self.folder} is not a feature folder: it holds no {META} (see docs/formats.md)")
        try:
            self.meta = FeatureMeta.from_json(read_text(path))
        except (ValueError, KeyError, TypeError) as error:
            wanted = "extractor, weights_sha256, fps, window, stride, offset, dim, dtype"
            raise HasvideoError(f"{path} is not a feature description ({error!r}); it needs {wanted}") from error
        self._shards = Shards(self.folder) if (self.folder / INDEX).is_file() else None

    @classmethod
    def create(cls, folder: Path, meta: FeatureMeta) -> FeatureStore:
        """Make the folder, or open it where it is already one of the same kind.

        Raises:
            HasvideoError: it holds features of another kind, is damaged, or cannot be written.
        """
        folder = Path(folder)
        if (folder / META).exists():
            store = cls(folder)
            if store.meta != meta:
                raise HasvideoError(f"{folder} holds other features: {store.meta}, not {meta}; choose another folder")
            return store
        write_text(folder / META, meta.to_json())
        return cls(folder)

    @property
    def grid(self) -> TimeGrid:
        """Where in time the features lie."""
        return self.meta.grid

    def path(self, video: str) -> Path:
        """Return the file of a video's features: where they are packed, the shard they are in."""
        if self._shards is not None and video in self._shards:
            return self._shards.path(video)
        return self.folder / f"{video}{_SUFFIX}"

    def __contains__(self, video: str) -> bool:
        return self.path(video).is_file() if self._shards is None else video in self._shards

    def lacking(self, videos: Iterable[str]) -> list[str]:
        """List those of the videos that have no features, in order; the folder is listed once, no file looked at."""
        present = set(self.videos())
        return [video for video in videos if video not in present]

    def videos(self) -> list[str]:
        """List the ids of all videos, sorted."""
        if self._shards is not None:
            return self._shards.videos()
        with os.scandir(self.folder) as entries:
            names = [entry.name for entry in entries]
        return sorted(n[: -len(_SUFFIX)] for n in names if n.endswith(_SUFFIX) and not n.startswith(_TEMPORARY))

    def save(self, video: str, features: np.ndarray) -> None:
        """Write the features ``(T, D)`` of a video in the folder's dtype, whole or not at all.

        Raises:
            HasvideoError: wrong shape, numbers not finite in the folder's dtype, a packed folder, or the file cannot be
                written.
        """
        self.require_unpacked()
        dtype = np.dtype(self.meta.dtype)
        self._check(video, features.shape, dtype)
        header = {"descr": dtype.str, "fortran_order": False, "shape": features.shape}
        with atomic_path(self.path(video)) as temporary, temporary.open("wb") as file, np.errstate(over="ignore"):
            np.lib.format.write_array_header_1_0(file, header)
            for block in blocks(features, 1024):
                array = np.ascontiguousarray(block, dtype)
                _check_finite(self._place(video), array)
                file.write(array.data)

    def load(self, video: str, mmap: bool = False) -> np.ndarray:
        """Load the features ``(T, D)`` of a video, in the dtype of its file.

        Args:
            video: id.
            mmap: leave them on disk and read what is looked at; numbers that are not finite then pass unseen.

        Raises:
            HasvideoError: the video has no features, or its file is not what ``features.json`` promises.
        """
        path = self.path(video)
        try:
            array = self._shards.load(video, mmap) if self._shards else np.load(path, mmap_mode="r" if mmap else None)
        except (FileNotFoundError, KeyError):
            raise self._no_features(video) from None
        except (OSError, ValueError, EOFError) as error:
            raise HasvideoError(f"{path} is not a readable .npy array: {error}") from error
        self._check(video, array.shape, array.dtype)
        if not mmap:
            _check_finite(self._place(video), array)
        return array

    def describe(self, video: str) -> tuple[tuple[int, ...], str]:
        """Read the shape and dtype of a video's features; of these only the header is read.

        Raises:
            HasvideoError: the video has no features, or its file is cut off or not what ``features.json`` promises.
        """
        try:
            shape, dtype = self._shards.extent(video)[:2] if self._shards else _npy_header(self.path(video))
        except (FileNotFoundError, KeyError):
            raise self._no_features(video) from None
        except (OSError, ValueError, EOFError) as error:
            raise HasvideoError(f"{self.path(video)} is not a readable .npy array: {error}") from error
        self._check(video, shape, dtype)
        return shape, dtype.name

    def sha256(self, video: str) -> str:
        """Hash a video's ``.npy``; where it is packed, the one that it was packed from.

        Raises:
            HasvideoError: they are packed, and the video has none, or they are damaged.
            OSError: they are not packed, and the file is not there or cannot be read.
        """
        if not self._shards:
            return file_sha256(self.path(video))
        file = io.BytesIO()
        np.save(file, self.load(video))
        return hashlib.sha256(file.getbuffer()).hexdigest()

    def require_unpacked(self) -> None:
        """Make sure that features can be added.

        Raises:
            HasvideoError: they are packed.
        """
        if self._shards:
            raise HasvideoError(f"{self.folder} is packed, nothing can be added to it: first hasvideo pack --unpack")

    def require(self, extractor: str, weights_sha256: str, grid: TimeGrid, dim: int) -> None:
        """Make sure that the features are what a model was trained on; an unknown (empty) hash matches any.

        Raises:
            HasvideoError: they are not; the message names what differs.
        """
        meta, file = self.meta, self.folder / META
        pairs = {"extractor": (meta.extractor, extractor), "dim": (meta.dim, dim), "grid": (meta.grid, grid)}
        if meta.weights_sha256 and weights_sha256:
            pairs["weights_sha256"] = (meta.weights_sha256, weights_sha256)
        for name, (found, wanted) in pairs.items():
            if found != wanted:
                raise HasvideoError(f"{file}: {name} is {found}, the model was trained on {wanted}")

    def _place(self, video: str) -> str:
        return f"{self.path(video)}: video {video!r}" if self._shards else str(self.path(video))

    def _no_features(self, video: str) -> HasvideoError:
        where = f"{self.folder / INDEX} does not name it" if self._shards else f"{self.path(video)} does not exist"
        return HasvideoError(f"no features of video {video!r}: {where}")

    def _check(self, video: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        if dtype.name not in DTYPES:
            raise HasvideoError(f"{self._place(video)} holds {dtype}; accepted: {', '.join(DTYPES)}")
        if len(shape) != 2 or shape[1] != self.meta.dim or shape[0] < 1:
            promise = f"{META} promises (T, {self.meta.dim}) with T >= 1"
            raise HasvideoError(f"{self._place(video)} has shape {shape}; {promise}{looks_like(shape, self.meta.dim)}")


def looks_like(shape: tuple[int, ...], dim: int | None = None) -> str:
    """Say what an array that is not ``(T, D)`` seems to be, and the numpy expression that makes it so.

    Args:
        shape: of the array.
        dim: D, if it is known.

    Returns:
        The end of a message, from its colon on; empty where the shape is like nothing known.
    """
    what, remedy = _guess(shape, dim)
    return f": it looks like {what}; {remedy} makes (T, D) of it" if what else ""


def _guess(shape: tuple[int, ...], dim: int | None) -> tuple[str, str]:
    match shape:
        case (first, second) if first == dim != second:
            return "transposed features (D, T)", "array.T"
        case (_, (5 | 10) as crops, _):
            return f"features of {crops} crops (T, {crops}, D)", "array.mean(axis=1)"
        case ((5 | 10) as crops, second, _) if second == dim:
            return f"features of {crops} crops, transposed ({crops}, D, T)", "array.mean(axis=0).T"
        case ((5 | 10) as crops, _, _):
            return f"features of {crops} crops ({crops}, T, D)", "array.mean(axis=0)"
        case (1, second, _) if second == dim:
            return "a batch of one, transposed (1, D, T)", "array[0].T"
        case (1, _, _):
            return "a batch of one (1, T, D)", "array[0]"
        case (_, 1, _):
            return "features with an axis too many (T, 1, D)", "array[:, 0]"
        case (_, _, _, _):
            return "maps that are not pooled over space (T, D, H, W)", "array.mean(axis=(2, 3))"
        case (only,) if dim in (None, only):
            return "one feature of the whole video (D)", "array[None]"
    return "", ""


def remove_leftovers(folder: Path) -> None:
    """Remove half-written files that killed processes left in a feature folder an hour ago or earlier."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_OVER:
                path.unlink()


def _npy_header(path: Path) -> tuple[tuple[int, ...], np.dtype]:
    """Read the shape and dtype of an array from its file, which has to hold all of it."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        expected = file.tell() + math.prod(shape) * dtype.itemsize
        size = os.fstat(file.fileno()).st_size
        if size < expected:
            raise ValueError(f"{size} bytes of {expected}")
    return shape, dtype


def _check_finite(place: str, array: np.ndarray) -> None:
    if not np.isfinite(array).all():
        raise HasvideoError(f"{place} has numbers that are not finite in {array.dtype}")


def is_outdated(store: FeatureStore, video: str, path: Path, size: int | None = None) -> bool:
    """Say whether a video was changed after its features were made; where its file is gone, it was not.

    Args:
        store: that has its features; where they are packed, the date of their shard counts.
        video: id.
        path: the video's file.
        size: of that file when the features were made, bytes, if it is known.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        file = path.stat()
        return file.st_mtime > store.path(video).stat().st_mtime or size not in (None, file.st_size)
    return False


def open_store(folder: Path, extractor: Extractor, dtype: str) -> FeatureStore:
    """Open the folder of an extractor's features, and make it if it is not there.

    Args:
        folder: of features.
        extractor: what makes them.
        dtype: of their files.

    Raises:
        HasvideoError: it holds other features, or cannot be written.
    """
    meta = FeatureMeta(extractor.name, extractor.weights_sha256, extractor.grid, extractor.dim, dtype)
    return FeatureStore.create(folder, meta)
