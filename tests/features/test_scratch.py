import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hasvideo.errors import HasvideoError
from hasvideo.features import scratch


def in_file(array):
    return isinstance(array, np.memmap)


@pytest.mark.parametrize("limit", [10**6, 0])
def test_what_is_gathered_is_all_rows_in_order_wherever_it_lies(monkeypatch, limit):
    monkeypatch.setattr(scratch, "IN_MEMORY", limit)
    parts = [np.arange(6.0).reshape(2, 3), np.empty((0, 3)), np.arange(6, 15).reshape(3, 3)[:, ::-1]]
    rows = scratch.gather(iter(parts), 3)
    assert in_file(rows) == (limit == 0)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, np.concatenate(parts))
    rows += 1  # it is an array like any other
    np.testing.assert_array_equal(rows, np.concatenate(parts) + 1)
    assert scratch.gather([], 3).shape == (0, 3)


def test_what_is_in_a_file_stays_when_its_memory_is_given_back(monkeypatch):
    monkeypatch.setattr(scratch, "IN_MEMORY", 0)
    array = scratch.empty((100, 3))
    array[:] = np.arange(300).reshape(100, 3)
    seen = np.concatenate([block.copy() for block in scratch.blocks(array, 7)])
    np.testing.assert_array_equal(seen, np.arange(300).reshape(100, 3))
    scratch.forget(array[::2].T)
    np.testing.assert_array_equal(array, seen)


def test_memory_is_given_back(monkeypatch):
    array = scratch.empty((2**25,))
    array[:] = 1
    before = resident()
    scratch.forget(array)
    assert resident() < before - 100 * 2**20
    assert array.sum() == 2**25


def resident():
    import psutil

    return psutil.Process().memory_info().rss


def test_nothing_is_left_behind(tmp_path):
    code = (
        "import numpy as np; from hasvideo.features import scratch; scratch.IN_MEMORY = 0\n"
        "kept = scratch.gather([np.ones((5, 3))], 3), scratch.empty((4, 4))\n"
        "import os, tempfile; print(os.listdir(tempfile.gettempdir()), kept[0].sum())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.stdout == "[] 15.0\n"


def test_a_full_disk_is_one_line(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(HasvideoError, match=r"No space left on device \(TMPDIR names another folder\)"):
        scratch.empty((2**23,))
    with Path("/dev/full").open("wb", buffering=0) as disk:
        monkeypatch.setattr(scratch.tempfile, "TemporaryFile", lambda **_: disk)
        with pytest.raises(HasvideoError, match="No space left on device"):
            scratch.gather([np.ones((2, 3))], 3)


def test_a_disk_that_fills_up_on_the_way_is_one_line(tmp_path):
    code = (
        "import resource, signal; import numpy as np; from hasvideo.features.scratch import gather\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "gather([np.ones((1000, 3))] * 2, 3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.stderr.splitlines()[-1].startswith("hasvideo.errors.HasvideoError: cannot write to")


def test_a_folder_for_temporary_files_that_is_not_there_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(HasvideoError, match="absent: No such file or directory"):
        scratch.gather([np.ones((2, 3))], 3)


def test_an_array_in_memory_has_nothing_to_forget():
    array = scratch.empty((2, 2))
    assert not in_file(array)
    scratch.forget(array)
    assert not isinstance(array.base, mmap.mmap)
