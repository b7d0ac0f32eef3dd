"""Load other people's pickled arrays without letting them run code."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import IO, Any

import numpy as np

from hasvideo.errors import HasvideoError
from hasvideo.pickles import AllowListUnpickler, find_allowed


def load_npy(path: Path) -> np.ndarray:
    """Read a ``.npy`` file, also one with an object array (lists, strings), of Python 2 or 3.

    Raises:
        HasvideoError: the file is missing, damaged, or holds something other than data.
    """
    try:
        stream = io.BytesIO(Path(path).read_bytes())
        major, _ = np.lib.format.read_magic(stream)
        readers = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        shape, _, dtype = readers[major](stream)
        if not dtype.hasobject:
            return np.load(Path(path), allow_pickle=False)
        # latin1 is the one encoding that reads both the strings and the arrays of Python 2.
        return np.asarray(AllowListUnpickler(stream, encoding="latin1").load(), dtype=object).reshape(shape)
    except OSError as error:
        raise HasvideoError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise HasvideoError(f"cannot load {path}: {error}") from error


def load_pickle(path: Path) -> Any:
    """Read a pickle of arrays, numbers, strings and containers of them, of Python 2 or 3.

    Raises:
        HasvideoError: the file is missing, damaged, or holds something other than data.
    """
    try:
        with Path(path).open("rb") as stream:
            return AllowListUnpickler(stream, encoding="latin1").load()
    except OSError as error:
        raise HasvideoError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise HasvideoError(f"cannot load {path}: {error}") from error


def stream_object_array(path: Path) -> Iterator[np.ndarray]:
    """Yield the arrays of an object array in a ``.npy`` file one after the other, so that memory holds only a few.

    Raises:
        HasvideoError: the file is missing, damaged, or holds something other than data.
    """
    # An unpickler calls back for each part. In a thread of its own it can wait until a part is taken.
    parts: Queue[np.ndarray | Exception | None] = Queue(maxsize=1)
    Thread(target=_unpickle_into, args=(Path(path), parts), daemon=True).start()
    while (part := parts.get()) is not None:
        if isinstance(part, Exception):
            raise HasvideoError(f"cannot load {path}: {part}") from part
        yield part


def _unpickle_into(path: Path, parts: Queue[np.ndarray | Exception | None]) -> None:
    try:
        with path.open("rb") as stream:
            major, _ = np.lib.format.read_magic(stream)
            readers = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
            _, _, dtype = readers[major](stream)
            if not dtype.hasobject:
                raise ValueError("it is one plain array, not an array of arrays")
            _StreamingUnpickler(stream, parts.put).load()
        parts.put(None)
    except Exception as error:
        parts.put(error)


class _StreamingUnpickler(pickle._Unpickler):
    """Hand over plain arrays as soon as they are read, and forget them."""

    def __init__(self, stream: IO[bytes], take: Callable[[np.ndarray], None]) -> None:
        super().__init__(stream, encoding="latin1")
        self.memo = _Forgetful()
        self._take = take

    def find_class(self, module: str, name: str) -> Any:
        """Find a name that is on the list, or a stand-in if it makes arrays."""
        found = find_allowed(super().find_class, module, name)
        if name == "_reconstruct":
            return lambda *_: _Handover(self._take)
        if name == "_frombuffer":
            return lambda *arguments: self._take(found(*arguments))
        return found


class _Handover:
    """Stands in for an array while it is unpickled."""

    def __init__(self, take: Callable[[np.ndarray], None]) -> None:
        self._take = take

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if not state[2].hasobject:
            array = np.ndarray((0,))
            array.__setstate__(state)
            self._take(array)


class _Forgetful(dict[int, Any]):
    """A memo that does not keep the contents of arrays alive; nothing refers to those a second time."""

    def __setitem__(self, key: int, value: Any) -> None:
        parts = value if isinstance(value, tuple) else (value,)
        heavy = any(isinstance(part, (bytes, str, bytearray)) and len(part) > 4096 for part in parts)
        super().__setitem__(key, None if heavy else value)
