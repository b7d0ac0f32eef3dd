"""The sdist and the wheel made from it: what is in them, and that the wheel works far from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import hasvideo
from tests.colours import paint_video

CHECKOUT = Path(__file__).parents[1]
LITTER = ("demo/clip.mp4", "runs/model.ckpt", "results.json", "films/holiday.mp4", ".venv/pyvenv.cfg")
NO_SOURCE = (".git", ".venv*", "demo", "runs", "site", "dist", "build", "__pycache__", ".*_cache", ".hypothesis")

pytest.importorskip("hatchling")


def python(*arguments, cwd, **environment):
    """Run Python; its standard output."""
    result = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env={**os.environ, **environment}, capture_output=True,
        text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """What the source distribution of a checkout in use unpacks to."""
    folder = tmp_path_factory.mktemp("sdist")
    checkout = folder / "checkout"
    shutil.copytree(CHECKOUT, checkout, ignore=shutil.ignore_patterns(*NO_SOURCE))
    for name in LITTER:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    python("-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=checkout)
    with tarfile.open(folder / f"hasvideo-{hasvideo.__version__}.tar.gz") as tar:
        tar.extractall(folder, filter="data")
    return folder / f"hasvideo-{hasvideo.__version__}"


@pytest.fixture(scope="module")
def installed(sdist, tmp_path_factory) -> Path:
    """The folder that the wheel, built from the source distribution, is installed in."""
    folder = tmp_path_factory.mktemp("wheel")
    python("-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=sdist)
    (wheel,) = folder.glob("*.whl")
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile")
    python(*install, "--target", folder / "site", wheel, cwd=folder)
    return folder / "site"


@pytest.fixture
def away(installed, tmp_path, monkeypatch):
    """Run Python in an empty folder, where only the installed wheel is to be found."""

    def run(*arguments):
        return python(*arguments, cwd=tmp_path, PYTHONPATH=str(installed))

    assert Path(run("-c", "import hasvideo; print(hasvideo.__file__)").strip()).is_relative_to(installed)
    return run


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_sdist_holds_the_sources_and_their_tests_and_nothing_else_that_lies_around(sdist):
    found = files(sdist)
    assert {"LICENSE", "README.md", "CITATION.cff", "pyproject.toml", "Makefile", "constraints.txt"} <= found
    assert {"tests/test_packaging.py", "docs/results.md", "configs/small/fcn_gap.yaml"} <= found
    assert not found.intersection(LITTER)
    binaries = [name for name in found if name.endswith((".mp4", ".ckpt", ".npy", ".pyc"))]
    assert not [name for name in binaries if not name.startswith("tests/version_0_1/")]


def test_the_wheel_holds_every_file_of_the_packages_and_the_configs(installed):
    found = files(installed)
    for name in ("hasvideo", "data_prep"):
        wanted = {f"{name}/{file}" for file in files(CHECKOUT / name) if not file.endswith(".pyc")}
        assert wanted <= found
    assert "hasvideo/py.typed" in found
    assert {f"hasvideo/configs/{file}" for file in files(CHECKOUT / "configs")} <= found
    assert {path.split("/")[0] for path in found} == {
        "bin", "data_prep", "hasvideo", f"hasvideo-{hasvideo.__version__}.dist-info"
    }  # fmt: skip
    assert f"hasvideo-{hasvideo.__version__}.dist-info/licenses/LICENSE" in found


def test_the_installed_command_tells_its_version_and_options(installed, away):
    assert away(installed / "bin" / "hasvideo", "--version") == f"hasvideo {hasvideo.__version__}\n"
    assert "localize" in away("-m", "hasvideo", "--help")
    assert "--threshold" in away("-m", "hasvideo.localize", "--help")
    assert "usage" in away("-m", "data_prep.thumos14", "--help")


def test_the_installed_command_finds_its_configs(away):
    printed = away("-m", "hasvideo.train_thumos", "--config", "configs/thumos14/full.yaml", "--print_config")
    assert "features: data/thumos14/i3d" in printed


def test_the_installed_command_localizes_in_a_video(installed, away, tmp_path):
    paint_video(tmp_path / "clip.mp4", "red")
    away("-m", "hasvideo.localize", "clip.mp4", "-f", "html", "png", "json", "srt", "-o", "out", "--quiet")
    assert {"clip.html", "clip.png", "clip.json", "clip.srt"} <= files(tmp_path / "out")
