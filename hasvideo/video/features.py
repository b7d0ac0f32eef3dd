"""The feature store: a folder of ``<video>.npy``, float16 or float32 ``(T, D)``, and one ``features.json``."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.files import atomic_path, write_text
from hasvideo.types import TimeGrid

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
        """Text of ``features.json``: the grid's fields stand beside the others."""
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
    """A folder of features: opened by its path, made by :meth:`create`.

    >>> store = FeatureStore(Path("features"))
    >>> store.meta.grid, store.videos()[:2], store.load("video_test_0000004").shape

    Raises:
        UsageError: there is no such folder, or it holds no ``features.json``.
        HasvideoError: its ``features.json`` is not one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UsageError(f"no feature folder {self.folder}")
        path = self.folder / META
        if not path.is_file():
            raise UsageError(f"{self.folder} is not a feature folder: it holds no {META} (see docs/formats.md)")
        try:
            self.meta = FeatureMeta.from_json(path.read_text(encoding="utf-8"))
        except (ValueError, KeyError, TypeError) as error:
            wanted = "extractor, weights_sha256, fps, window, stride, offset, dim, dtype"
            raise HasvideoError(f"{path} is not a feature description ({error!r}); it needs {wanted}") from error

    @classmethod
    def create(cls, folder: Path, meta: FeatureMeta) -> FeatureStore:
        """Make the folder, or open it where it is already one of the same kind.

        Raises:
            HasvideoError: it holds features of another kind, or cannot be written.
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
        """File of a video's features."""
        return self.folder / f"{video}{_SUFFIX}"

    def __contains__(self, video: str) -> bool:
        return self.path(video).is_file()

    def videos(self) -> list[str]:
        """Ids of all videos, sorted."""
        with os.scandir(self.folder) as entries:
            names = [entry.name for entry in entries]
        return sorted(n[: -len(_SUFFIX)] for n in names if n.endswith(_SUFFIX) and not n.startswith(_TEMPORARY))

    def save(self, video: str, features: np.ndarray) -> None:
        """Write the features ``(T, D)`` of a video in the folder's dtype, whole or not at all.

        Raises:
            HasvideoError: wrong shape, numbers not finite in the folder's dtype, or the file cannot be written.
        """
        path = self.path(video)
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(features, dtype=self.meta.dtype)
        self._check_shape(path, array)
        _check_finite(path, array)
        with atomic_path(path) as temporary:
            np.save(temporary, array)

    def load(self, video: str, mmap: bool = False) -> np.ndarray:
        """Features ``(T, D)`` of a video, in the dtype of its file.

        Args:
            video: id.
            mmap: leave them on disk and read what is looked at; numbers that are not finite then pass unseen.

        Raises:
            HasvideoError: the video has no features, or its file is not what ``features.json`` promises.
        """
        path = self.path(video)
        try:
            array = np.load(path, mmap_mode="r" if mmap else None)
        except FileNotFoundError:
            raise HasvideoError(f"no features of video {video!r}: {path} does not exist") from None
        except (OSError, ValueError, EOFError) as error:
            raise HasvideoError(f"{path} is not a readable .npy array: {error}") from error
        if array.dtype.name not in DTYPES:
            raise HasvideoError(f"{path} holds {array.dtype}; accepted: {', '.join(DTYPES)}")
        self._check_shape(path, array)
        if not mmap:
            _check_finite(path, array)
        return array

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

    def _check_shape(self, path: Path, array: np.ndarray) -> None:
        if array.ndim != 2 or array.shape[1] != self.meta.dim or not len(array):
            raise HasvideoError(f"{path} has shape {array.shape}; {META} promises (T, {self.meta.dim}) with T >= 1")


def remove_leftovers(folder: Path) -> None:
    """Remove half-written files that killed processes left in a feature folder an hour ago or earlier."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_OVER:
                path.unlink()


def _check_finite(path: Path, array: np.ndarray) -> None:
    if not np.isfinite(array).all():
        raise HasvideoError(f"{path} has numbers that are not finite in {array.dtype}")
