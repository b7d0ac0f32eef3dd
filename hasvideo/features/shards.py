"""Packed features: the arrays of many videos in a few safetensors files, and an index that says which is in which.

The layout is that of any safetensors checkpoint in several files, so that other programs read it. The safetensors
package checks the files. Writing is done here, since the package would need a whole shard in memory, and so is
finding the arrays' places, which it does not tell: an array can be mapped only where its place is known.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from hasvideo.errors import HasvideoError
from hasvideo.files import atomic_path, read_text, write_text

INDEX = "features.safetensors.index.json"
_DTYPES: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
_NAMES = {dtype.name: name for name, dtype in _DTYPES.items()}
_METADATA = "__metadata__"  # what safetensors keeps under this name is no array

Kind = tuple[tuple[int, ...], str]
"""Shape of an array, and its dtype's name."""


class Extent(NamedTuple):
    """An array in a shard, which begins ``start`` bytes after the file's beginning."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int


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

    def __contains__(self, video: str) -> bool:
        return video in self._shard_of

    def videos(self) -> list[str]:
        """List the ids of all videos, sorted."""
        return sorted(self._shard_of)

    def path(self, video: str) -> Path:
        """Return the file that holds a video's array.

        Raises:
            KeyError: there is no such video.
        """
        return self.folder / self._shard_of[video]

    def extent(self, video: str) -> Extent:
        """Find a video's array.

        Raises:
            KeyError: there is no such video.
            HasvideoError: its shard is damaged, or does not hold what the index says.
        """
        shard = self._shard_of[video]
        if shard not in self._extents:
            self._extents[shard] = read_header(self.folder / shard)
            for other in self._extents[shard]:
                if self._shard_of.get(other, shard) != shard:
                    both = f"{self._shard_of[other]} and {shard}"
                    raise HasvideoError(f"{self.folder}: video {other!r} is in two shards, {both}")
        if video not in self._extents[shard]:
            raise HasvideoError(f"{self.folder / INDEX}: video {video!r} is not in {shard}, which it names for it")
        return self._extents[shard][video]

    def load(self, video: str, mmap: bool = False) -> np.ndarray:
        """Read a video's array in the dtype of its shard, or map it (read-only).

        Raises:
            KeyError, HasvideoError: see :meth:`extent`.
        """
        (shape, dtype, start), path = self.extent(video), self.path(video)
        size = math.prod(map(int, shape))
        try:
            if mmap and size:
                return np.memmap(path, dtype, "r", start, shape)
            return np.fromfile(path, dtype, size, offset=start).reshape(shape)
        except (OSError, ValueError) as error:
            raise HasvideoError(f"cannot read {video!r} from {path}: {error}") from error


def read_header(path: Path) -> dict[str, Extent]:
    """Find the arrays of a shard; they themselves are not read.

    Raises:
        HasvideoError: it is no safetensors file, is cut off, or holds other types than float16 and float32.
    """
    try:
        with safe_open(path, "numpy"):  # checks all that the format demands
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            entries = json.loads(file.read(length))
    except SafetensorError as error:
        raise HasvideoError(f"{path} is cut off, damaged or no safetensors file ({error}): pack it anew") from error
    except OSError as error:
        raise HasvideoError(f"cannot read {path}: {error.strerror or error}") from error
    entries.pop(_METADATA, None)
    for video, entry in entries.items():
        if entry["dtype"] not in _DTYPES:
            accepted = "accepted: float16 (F16), float32 (F32)"
            raise HasvideoError(f"{path}: video {video!r} holds {entry['dtype']}; {accepted}")
    return {
        video: Extent(tuple(e["shape"]), _DTYPES[e["dtype"]], 8 + length + e["data_offsets"][0])
        for video, e in entries.items()
    }


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
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(_header(arrays))
        for video in _order(arrays):
            array = load(video)
            if (array.shape, array.dtype.name) != arrays[video]:
                raise HasvideoError(f"the features of {video!r} changed while they were packed")
            np.ascontiguousarray(array, _DTYPES[_NAMES[array.dtype.name]]).tofile(file)


def holds(path: Path, arrays: Mapping[str, Kind]) -> bool:
    """Say whether a file has the length and the header that :func:`write_shard` would give it.

    Args:
        path: of the file, which is there.
        arrays: shape and dtype by video.
    """
    header = _header(arrays)
    with path.open("rb") as file:
        size = len(header) + sum(map(nbytes, arrays.values()))
        return file.read(len(header)) == header and path.stat().st_size == size


def nbytes(kind: Kind) -> int:
    """Count the bytes of such an array."""
    shape, dtype = kind
    return math.prod(shape) * np.dtype(dtype).itemsize


def write_index(folder: Path, shards: Mapping[str, Mapping[str, Kind]]) -> None:
    """Write the index: ``weight_map`` has the shard of each video, ``total_size`` the bytes of all arrays.

    Args:
        folder: of the shards.
        shards: shape and dtype of each video's array, by the shard's name.

    Raises:
        HasvideoError: it cannot be written.
    """
    size = sum(nbytes(kind) for arrays in shards.values() for kind in arrays.values())
    shard_of = {video: shard for shard, arrays in shards.items() for video in arrays}
    fields = {"metadata": {"total_size": size}, "weight_map": shard_of}
    write_text(folder / INDEX, json.dumps(fields, ensure_ascii=False, indent=0) + "\n")


def _read_index(path: Path) -> dict[str, str]:
    try:
        shard_of: dict[str, str] = json.loads(read_text(path), object_pairs_hook=_unique)["weight_map"]
        missing = sorted(set(shard_of.values()) - {file.name for file in path.parent.iterdir()})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise HasvideoError(f"{path} is no index of shards: {error!r}") from error
    if missing:
        raise HasvideoError(f"{path} names {missing[0]}, which is not in the folder")
    for video in shard_of:
        if "/" in video or "\\" in video:
            raise HasvideoError(f"{path}: {video!r} is not the name of a video")
    return shard_of


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of a JSON object; the json module by itself takes the last of equal keys."""
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} is in it twice")
    return dict(pairs)


def _order(arrays: Mapping[str, Kind]) -> list[str]:
    """Put wide types first, as safetensors does, so that every array is aligned."""
    return sorted(arrays, key=lambda video: (arrays[video][1] != "float32", video))


def _header(arrays: Mapping[str, Kind]) -> bytes:
    """Write what stands before the arrays: its own length, and where each of them lies behind it."""
    entries, end = {}, 0
    for video in _order(arrays):
        (shape, dtype), start = arrays[video], end
        end = start + nbytes(arrays[video])
        entries[video] = {"dtype": _NAMES[dtype], "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
