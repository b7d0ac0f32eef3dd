"""Pickled arrays load without running code."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from data_prep.pickles import load_npy
from hasvideo.errors import HasvideoError


class Evil:
    def __reduce__(self):
        return (print, ("this must never be printed",))


def test_pickles_with_code_are_refused(tmp_path, capsys):
    np.save(tmp_path / "evil.npy", np.array([Evil(), 1], dtype=object), allow_pickle=True)
    with pytest.raises(HasvideoError, match=r"cannot load .*evil.npy: it asks for builtins.print"):
        load_npy(tmp_path / "evil.npy")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("cut", [0, 5, 40, 100, 180])
def test_damaged_npy(tmp_path, cut):
    path = tmp_path / "x.npy"
    np.save(path, np.array([["a"], ["b", "c"]], dtype=object), allow_pickle=True)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(HasvideoError, match=r"cannot load .*x.npy"):
        load_npy(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_pickle_protocol(tmp_path, protocol):
    array = np.array([["a", "b"], np.arange(3.0), np.float32(2)], dtype=object)
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        pickle.dump(array, file, protocol)
    read = load_npy(tmp_path / "x.npy")
    assert read[0] == ["a", "b"]
    assert read[1].tolist() == [0, 1, 2]
    assert read[2] == 2
