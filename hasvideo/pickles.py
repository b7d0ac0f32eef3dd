"""Load pickles of arrays without letting them run code."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

# All that NumPy itself writes into a pickle of arrays, under its old and its new module names.
_ALLOWED = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")} | {
    (f"numpy.{core}.{module}", name)
    for core in ("core", "_core")
    for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
}


class AllowListUnpickler(pickle.Unpickler):
    """Unpickle arrays, numbers, strings and containers of them; refuse everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Find a name that is on the list; any other could be a function that the pickle then calls."""
        return find_allowed(super().find_class, module, name)


def find_allowed(find: Callable[[str, str], Any], module: str, name: str) -> Any:
    """Find a name that is on the list, whichever version of NumPy wrote it and whichever reads it.

    Args:
        find: the unpickler's own way to find a name.
        module: that the pickle asks for.
        name: in that module.

    Raises:
        pickle.UnpicklingError: the name is not on the list.
    """
    if (module, name) not in _ALLOWED:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which data does not need")
    try:
        return find(module.replace("numpy.core.", "numpy._core."), name)
    except ImportError:  # NumPy 1 does not have all of it under the new name
        return find(module.replace("numpy._core.", "numpy.core."), name)
