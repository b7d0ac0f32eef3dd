"""Pickled arrays of other people's, loaded without letting them run code."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from hasvideo.errors import HasvideoError

# All that NumPy itself writes into a pickle of arrays, under its old and its new module names.
_ALLOWED = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")} | {
    (f"numpy.{core}.{module}", name)
    for core in ("core", "_core")
    for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
}


class AllowListUnpickler(pickle.Unpickler):
    """Unpickles arrays, numbers, strings and containers of them, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Only what is on the list: any other name could be a function that the pickle then calls."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which data does not need")
        try:
            return super().find_class(module.replace("numpy.core.", "numpy._core."), name)
        except ImportError:  # NumPy 1 has not all of it under the new name
            return super().find_class(module.replace("numpy._core.", "numpy.core."), name)


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
