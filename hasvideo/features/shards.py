"""Packed features: the arrays of many videos in a few safetensors files, and an index that says which is in which.

The layout is that of any safetensors checkpoint in several files, so that other programs read it. The safetensors
package itself is not used: it can neither write a file that is larger than memory nor map an array of one.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hasvideo.errors import HasvideoError
from hasvideo.files import atomic_path, read_text, write_text

INDEX = "features.safetensors.index.json"
_DTYPES: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
_NAMES = {"float16": "F16", "float32": "F32"}
_METADATA = "__metadata__"  # what safetensors keeps under this name is no array

Kind = tuple[tuple[int, ...], str]
"""Shape of an array, and its dtype's name."""


class Extent(NamedTuple):
    """Where an array lies in its shard: ``start`` in bytes from the file's beginning."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(map(int, self.shape))

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.start + self.size * self.dtype.itemsize


class Shards:
    """The arrays of a packed folder. Opening it reads the index; a shard's header is read when it is first needed.

    Args:
        folder: that holds the index and the shards.

    Raises:
        HasvideoError: the index is none, or names a shard that is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shard_of = _read_index(folder / INDEX)
        self._extents: dict[str, dict[str, Extent]] = {}
        missing = sorted(set(self._shard_of.values()) - {path.name for path in folder.iterdir()})
        if missing:
            raise HasvideoError(f"{folder / INDEX} names {missing[0]}, which is not in the folder")

    def __contains__(self, video: str) -> bool:
        return video in self._shard_of

    def videos(self) -> list[str]:
        """Ids of all videos, sorted."""
        return sorted(self._shard_of)

    def path(self, video: str) -> Path:
        """File that holds a video's array.

        Raises:
            KeyError: there is no such video.
        """
        return self.folder / self._shard_of[video]

    def extent(self, video: str) -> Extent:
        """Where its array lies.

        Raises:
            KeyError: there is no such video.
            HasvideoError: its shard is damaged, or does not hold what the index says.
        """
        shard = self._shard_of[video]
        if shard not in self._extents:
            self._extents[shard] = self._read(shard)
        if video not in self._extents[shard]:
            raise HasvideoError(f"{self.folder / INDEX}: video {video!r} is not in {shard}, which it names for it")
        return self._extents[shard][video]

    def kind(self, video: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Its array's shape and dtype; see :meth:`extent` for errors."""
        extent = self.extent(video)
        return extent.shape, extent.dtype

    def load(self, video: str, mmap: bool = False) -> np.ndarray:
        """A video's array, in the dtype of its shard: read, or mapped (read-only).

        Raises:
            KeyError, HasvideoError: see :meth:`extent`.
        """
        extent, path = self.extent(video), self.path(video)
        try:
            if mmap and extent.size:
                return np.memmap(path, extent.dtype, "r", extent.start, extent.shape)
            return np.fromfile(path, extent.dtype, extent.size, offset=extent.start).reshape(extent.shape)
        except (OSError, ValueError) as error:
            raise HasvideoError(f"cannot read {video!r} from {path}: {error}") from error

    def _read(self, shard: str) -> dict[str, Extent]:
        extents = read_header(self.folder / shard)
        for video in extents:
            other = self._shard_of.get(video, shard)
            if other != shard:
                raise HasvideoError(f"{self.folder}: video {video!r} is in two shards, {other} and {shard}")
        return extents


def read_header(path: Path) -> dict[str, Extent]:
    """Where the arrays of a shard lie; they themselves are not read.

    Raises:
        HasvideoError: it is no safetensors file, is cut off, or holds other types than float16 and float32.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 + length:
                raise HasvideoError(f"{path} is cut off, or no safetensors file")
            entries = json.loads(file.read(length), object_pairs_hook=_unique)
        entries.pop(_METADATA, None)
        extents = {video: _extent(path, video, entry, 8 + length) for video, entry in entries.items()}
    except OSError as error:
        raise HasvideoError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise HasvideoError(f"{path} is no safetensors file: {error!r}") from error
    end = max((e.end for e in extents.values()), default=8 + length)
    if size != end:
        raise HasvideoError(f"{path} has {size} bytes where its header says {end}: it is damaged, copy or pack it anew")
    return extents


def write_shard(path: Path, arrays: Mapping[str, Kind], load: Callable[[str], np.ndarray]) -> None:
    """Write a shard whole or not at all, with one array at a time in memory.

    Args:
        path: of the shard.
        arrays: shape and dtype, ``float16`` or ``float32``, by video.
        load: reads the array of a video, of just that shape and dtype.

    Raises:
        HasvideoError: an array has changed, a video has a name that cannot be, or the file cannot be written.
    """
    if _METADATA in arrays:
        raise HasvideoError(f"safetensors files cannot hold a video of the name {_METADATA}: rename it")
    header = _header(arrays)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for video in _order(arrays):
            array, (shape, dtype) = load(video), arrays[video]
            if (array.shape, array.dtype.name) != (shape, dtype):
                raise HasvideoError(f"the features of {video!r} changed while they were packed")
            np.ascontiguousarray(array, _DTYPES[_NAMES[dtype]]).tofile(file)


def holds(path: Path, arrays: Mapping[str, Kind]) -> bool:
    """Whether a file has the length and the header that :func:`write_shard` would give it."""
    try:
        found = read_header(path)
    except HasvideoError:
        return False
    return {video: (e.shape, e.dtype.name) for video, e in found.items()} == dict(arrays)


def nbytes(kind: Kind) -> int:
    """How many bytes such an array has."""
    shape, dtype = kind
    return math.prod(shape) * np.dtype(dtype).itemsize


def write_index(folder: Path, shard_of: Mapping[str, str], size: int) -> None:
    """Write the index: ``weight_map`` has the shard of each video, ``total_size`` the bytes of all arrays.

    Raises:
        HasvideoError: it cannot be written.
    """
    fields = {"metadata": {"total_size": size}, "weight_map": shard_of}
    write_text(folder / INDEX, json.dumps(fields, ensure_ascii=False, indent=0) + "\n")


def _read_index(path: Path) -> dict[str, str]:
    try:
        shard_of = json.loads(read_text(path), object_pairs_hook=_unique)["weight_map"]
        odd = [v for v, shard in shard_of.items() if "/" in v or "/" in shard or "\\" in v + shard]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise HasvideoError(f"{path} is no index of shards: {error!r}") from error
    if odd:
        raise HasvideoError(
            f"{path}: {odd[0]!r} in {shard_of[odd[0]]!r} is not the name of a video in a file of the folder"
        )
    return shard_of


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; the json module by itself takes the last of equal keys."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{twice!r} is in it twice")
    return found


def _extent(path: Path, video: str, entry: dict[str, Any], data: int) -> Extent:
    if entry["dtype"] not in _DTYPES:
        raise HasvideoError(f"{path}: video {video!r} holds {entry['dtype']}; accepted: float16 (F16), float32 (F32)")
    extent = Extent(_DTYPES[entry["dtype"]], tuple(entry["shape"]), data + entry["data_offsets"][0])
    if extent.start < data or extent.end != data + entry["data_offsets"][1]:
        raise ValueError(f"{video!r} has {entry}")
    return extent


def _order(arrays: Mapping[str, Kind]) -> list[str]:
    """Wide types first, as safetensors does, so that every array is aligned."""
    return sorted(arrays, key=lambda video: (arrays[video][1] != "float32", video))


def _header(arrays: Mapping[str, Kind]) -> bytes:
    entries, end = {}, 0
    for video in _order(arrays):
        (shape, dtype), start = arrays[video], end
        end = start + nbytes(arrays[video])
        entries[video] = {"dtype": _NAMES[dtype], "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)
