"""What the documentation says is so: the site builds, commands have the options it names, its Python runs."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from hasvideo.commands import COMMANDS, CommandParser

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
GALLERY = ROOT / "docs" / "gallery"
MEASURED = {"results.md", "scaling.md"}  # these name options of benchmarks too
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def blocks(page: Path, *languages: str) -> list[str]:
    return [
        dedent(text) for _, language, text in BLOCK.findall(page.read_text(encoding="utf-8")) if language in languages
    ]


def invocations() -> list[tuple[str, str]]:
    """Every call of a command or converter in a shell block: the module and its arguments."""
    found = []
    for page in PAGES:
        for block in blocks(page, "bash", "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                call = re.search(r"(?:^hasvideo |-m hasvideo\.)(\w+)(.*)|-m (data_prep\.\w+)(.*)", line)
                if call:
                    module = call[3] or f"hasvideo.{call[1]}"
                    found.append((module, call[2] or call[4] or ""))
    return sorted(set(found))


def options_of(module: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The options that a command's parser knows, caught on its way to parse."""
    caught: list[CommandParser] = []

    class CaughtError(Exception):
        pass

    def catch(self: CommandParser, *_, **__):
        caught.append(self)
        raise CaughtError

    with monkeypatch.context() as patch:
        patch.setattr(CommandParser, "parse_args", catch)
        with pytest.raises(CaughtError):
            importlib.import_module(module).main([])
    return set(caught[0]._option_string_actions)


def test_the_pages_have_commands_to_check():
    assert {"hasvideo.localize", "hasvideo.train", "data_prep.elan"} <= {module for module, _ in invocations()}


@pytest.mark.parametrize("module", sorted({module for module, _ in invocations()}))
def test_options_in_shell_blocks_exist(module, monkeypatch):
    known = options_of(module, monkeypatch)
    for _, arguments in (call for call in invocations() if call[0] == module):
        words = shlex.split(arguments, comments=True)
        asked = {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}
        assert asked <= known, f"{module} {arguments}"


def test_options_in_the_text_exist(monkeypatch):
    modules = [*(f"hasvideo.{name}" for name in COMMANDS), "data_prep.thumos14", "data_prep.labelstudio"]
    known = set().union(*(options_of(module, monkeypatch) for module in modules))
    for page in PAGES:
        if page.name not in MEASURED:
            spans = re.findall(r"`[^`\n]+`", BLOCK.sub("", page.read_text(encoding="utf-8")))
            ours = " ".join(span for span in spans if "benchmarks/" not in span)
            asked = set(re.findall(r"(?<![\w-])--[a-z][\w.-]*[a-z]", ours))
            assert asked <= known, page


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python") and p.parent != GALLERY], ids=lambda p: str(p.relative_to(ROOT))
)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    """Blocks of a page are one program; where a video, an image or a checkpoint is needed, only their imports run."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "docs"}
    for block in blocks(page, "python"):
        tree = ast.parse(block)
        if page.name == "CONTRIBUTING.md" or re.search(r"\.(mp4|jpg|ckpt)\b", block):
            tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(tree, str(page), "exec"), names)


PICTURE = re.compile(
    r'<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="(.+)">\s*'
    r'<img alt="(.+)" src="(.+)">\s*</picture>'
)


def test_every_picture_of_the_readme_is_for_light_and_dark_pages_and_says_what_is_on_it():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = PICTURE.findall(text)
    assert pictures
    assert len(pictures) == text.count("<img")
    for dark, alternative, light in pictures:
        assert (ROOT / dark).is_file()
        assert light == dark.replace("-dark", "-light")
        assert (ROOT / light).is_file()
        assert len(alternative) > 40


def test_every_picture_is_shown_somewhere():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    pictures = [*(ROOT / "docs" / "images").iterdir(), *GALLERY.glob("*.webp")]
    assert not [picture for picture in pictures if picture.name not in text]


@pytest.fixture(scope="module")
def make_pictures():
    spec = importlib.util.spec_from_file_location("make_pictures", ROOT / "docs" / "make_pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_results_has_the_numbers_of_the_page(make_pictures):
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    (axes,) = make_pictures.draw_results(page, "dark").axes
    drawn = {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
    assert list(drawn) == list(make_pictures.METHODS)
    row = re.search(r"^\| `hasvideo train` \|(.*)\|$", page, re.MULTILINE)
    assert row
    assert [f"{value:.1f}" for value in drawn["hasvideo train"]] == re.findall(r"([\d.]+) ±", row[1])[:7]
    with pytest.raises(ValueError, match="no row"):
        make_pictures.read_row(page, "another")


def test_the_picture_of_hiding_hides_some_and_not_all(make_pictures):
    frames = np.random.default_rng(0).integers(0, 255, (6, 224, 260, 3)).astype(np.uint8)
    strip, whole, *hidden = np.split(range(len(axes := make_pictures.draw_hiding(frames, "light").axes)), [6, 7])
    images = [np.asarray(a.images[0].get_array()) for a in axes]
    assert 0 < sum((images[k] == frames[k]).all() for k in strip) < len(frames)
    for k in hidden[0]:
        assert 0.2 < (images[k] == images[whole[0]]).all(axis=2).mean() < 0.8


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_gallery_shows_the_notebooks_as_they_are(notebook):
    page = (GALLERY / f"{notebook.stem}.md").read_text(encoding="utf-8")
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        assert "".join(cell["source"]) in page, "run make gallery"
    pictures = re.findall(r"!\[(.*)\]\((.*)\)", page)
    assert pictures
    assert all(len(alternative) > 20 and (GALLERY / picture).is_file() for alternative, picture in pictures)


def test_the_gallery_is_small():
    assert sum(path.stat().st_size for path in GALLERY.iterdir()) < 2.5e6


def test_the_navigation_has_every_page():
    named = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert named == pages


def test_the_site_builds_without_a_warning(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    reference = (tmp_path / "reference" / "core" / "index.html").read_text()
    assert "hasvideo.hiding.PatchHiding" in reference
    assert ":func:" not in reference
    assert "../hasvideo/" not in (tmp_path / "results" / "index.html").read_text()
