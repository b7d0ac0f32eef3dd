"""The arrays of W-TALC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_prep import wtalc
from data_prep.wtalc import read_wtalc
from hasvideo.datasets.annotations import AnnotatedVideo, Instance
from hasvideo.errors import HasvideoError


def test_wtalc_details(thumos):
    with pytest.warns(UserWarning, match="differs from the labels of the segments in 8 validation, 20 test videos"):
        read = read_wtalc(thumos / "Thumos14reduced-Annotations")
    assert next(iter(read.videos)) == "video_validation_0000051"
    assert read.subsets == ["validation", "test"]
    assert read.videos["video_validation_0000051"].duration == 169.794
    assert read.videos["video_validation_0000051"].fps is None


def save_wtalc(folder: Path, **arrays: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    good = {
        "videoname": np.array([b"v1", b"v2"]),
        "subset": np.array(["validation", "test"]),
        "segments": np.array([[[1, 2], [3, 4.5]], []], dtype=object),
        "labels": np.array([["a", b"b"], []], dtype=object),
    }
    for name, array in (good | arrays).items():
        np.save(folder / f"{name}.npy", array)
    return folder


def test_wtalc_with_bytes_and_str(tmp_path):
    read = read_wtalc(save_wtalc(tmp_path / "w"))
    assert read.videos == {
        "v1": AnnotatedVideo("validation", (Instance("a", 1.0, 2.0), Instance("b", 3.0, 4.5))),
        "v2": AnnotatedVideo("test", ()),
    }


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"subset": np.array(["test"])}, "the arrays have different lengths: 1, 2"),
        ({"labels": np.array([["a"], []], dtype=object)}, "w: v1: 2 segments but 1 labels"),
        (
            {"segments": np.array([[[1, 2], [3, 2]], []], dtype=object)},
            r"v1: segment 1: segment \[3, 2\] is reversed",
        ),
        ({"duration": np.array([[1.0], [-2.0]])}, "v2: duration -2.0 is not a positive number"),
    ],
)
def test_wrong_wtalc_arrays(tmp_path, arrays, message):
    with pytest.raises(HasvideoError, match=message):
        read_wtalc(save_wtalc(tmp_path / "w", **arrays))


class Evil:
    def __reduce__(self):
        return (print, ("this must never be printed",))


def test_arrays_with_code_are_refused(tmp_path, capsys, command):
    folder = save_wtalc(tmp_path / "w", labels=np.array([Evil(), []], dtype=object))
    assert command(wtalc, folder, "-o", tmp_path / "out.json") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "labels.npy: it asks for builtins.print, which data does not need" in captured.err
    assert not (tmp_path / "out.json").exists()
