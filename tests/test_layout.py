"""The floors of the package: a module imports only from its own floor and from those below it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hasvideo"
FLOORS = [
    "__init__ errors types",
    "files pickles progress device help commands settings checkpoint",
    "hiding cam extents transforms",
    "frames",
    "inputs choice",
    "datasets",
    "metrics",
    "networks",
    "weights",
    "features",
    "training",
    "video image",
    "segmentation",
    "output",
    "batch batch_on_ray report",
    "localize extract pack train train_thumos train_imagenet train_segmentation evaluate evaluate_images",
    "__main__",
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names.split()}


def room(module: str) -> str:
    """The name on :data:`FLOORS` of a module such as ``hasvideo.video.model``."""
    return [*module.split("."), "__init__"][1]


def imports(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, at once or later on, but for type checking only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "hasvideo" else [node.module]
            )
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name for name in names if name.partition(".")[0] == "hasvideo")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_runs_up(path):
    ours = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if ours == "__init__":  # gives its public names by their modules, when they are asked for
        return
    assert ours in FLOOR, f"{path}: give it a floor"
    upward = [name for name in imports(path) if FLOOR[room(name)] > FLOOR[ours]]
    assert not upward, f"{ours} is below {upward}"


def test_every_floor_is_there():
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert set(FLOOR) == rooms - {"__pycache__", "configs"}
