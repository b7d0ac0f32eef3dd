"""Where the pages say that something is, it is: paths, modules, functions in their files, the map of the package."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from tests.docs.test_docs import GALLERY, PAGES, ROOT

PACKAGE = ROOT / "hasvideo"
PATH = re.compile(r"(?<![\w/.:-])(?:hasvideo|data_prep|tests|configs|benchmarks|notebooks|docs)/[\w./-]*\w")
PLACE = re.compile(r"`([\w.]+)`\s+\(`((?:hasvideo|data_prep|tests)/[\w./]+)`\)")
MODULE = re.compile(r"(?<![\w/.-])(?:hasvideo|data_prep)(?:\.[A-Za-z_]\w*)+")
pages = pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent != GALLERY], ids=lambda page: str(page.relative_to(ROOT))
)


def names(path: Path) -> set[str]:
    """What a file defines, members of its classes as ``Class.member``."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".js":
        return set(re.findall(r"function (\w+)\(", text))
    found = set()
    for node in ast.parse(text).body:
        members = [f"{node.name}.{m}" for m in defined(node.body)] if isinstance(node, ast.ClassDef) else []
        found.update(defined([node]), members)
    return found


def defined(body: list[ast.stmt]) -> list[str]:
    """Names that statements define."""
    targets = [t for node in body for t in (node.targets if isinstance(node, ast.Assign) else [node])]
    targets = [t.target if isinstance(t, ast.AnnAssign) else t for t in targets]
    return [getattr(t, "name", getattr(t, "id", "")) for t in targets]


def exists(dotted: str) -> bool:
    """Whether a name such as ``hasvideo.video.model.Model`` is a module, or something in one."""
    module, *rest = dotted.split(".")
    found = importlib.import_module(module)
    for name in rest:
        module = f"{module}.{name}"
        try:
            found = getattr(found, name) if hasattr(found, name) else importlib.import_module(module)
        except ImportError:
            return False
    return True


@pages
def test_paths_exist(page):
    text = re.sub(r"https?://\S+", "", page.read_text(encoding="utf-8"))
    packaged = text.replace("hasvideo/configs", "configs")  # where the wheel has them
    assert not [path for path in PATH.findall(packaged) if not (ROOT / path).exists() and "..." not in path]


@pages
def test_names_are_in_the_file_that_is_said_to_have_them(page):
    for name, path in PLACE.findall(page.read_text(encoding="utf-8")):
        assert name in names(ROOT / path), f"{path} has no {name}"


@pages
def test_modules_and_what_is_said_to_be_in_them_exist(page):
    text = page.read_text(encoding="utf-8").replace("hasvideo.extractors", "")  # the entry-point group
    assert not [dotted for dotted in MODULE.findall(text) if not exists(dotted)]


def test_both_walks_have_ten_stops_each_with_a_place():
    text = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
    walks = [re.split(r"^\d+\. ", part, flags=re.MULTILINE)[1:] for part in text.split("\n## ")[1:3]]
    assert [len(stops) for stops in walks] == [10, 10]
    assert all(PLACE.search(stop) and "*In:*" in stop and "*Out:*" in stop for stops in walks for stop in stops)


def test_the_map_in_the_readme_names_every_module_and_folder_and_no_other():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## How it is laid out")[2]
    drawn = re.search(r"^```\nhasvideo/\n(.*?)^data_prep/", text, re.DOTALL | re.MULTILINE)
    assert drawn
    # The first column has what lies at the top; the second, two blanks on, names some of what is in the folders.
    columns = [re.match(r"  (\S+(?: \S+)*)", line) for line in drawn[1].splitlines()]
    top = {name.strip("/") for column in columns if column for name in column[1].split()}
    there = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert top == there - {"__init__.py", "__main__.py"}
    inner = set(re.findall(r"\w+\.py", drawn[1])) - top
    assert inner <= {path.name for path in PACKAGE.rglob("*.py")}
