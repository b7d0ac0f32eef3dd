"""Print the lowest version of every package that pyproject.toml allows a user, as constraints for pip.

The tools of the tests, docs and notebooks are left out: nobody needs old ones. So is torchcodec, whose lowest version
was built for a newer torch than the lowest.

    python tests/lowest_versions.py > constraints.txt
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

EXTRAS = ("maxboxacc", "openvino", "pandas", "tensorboard")


def main() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *(line for name in EXTRAS for line in optional[name])]:
        found = re.match(r"([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)", requirement)
        if found is None:
            raise SystemExit(f"pyproject.toml: {requirement!r} names no lowest version")
        print(f"{found[1]}=={found[2]}")


if __name__ == "__main__":
    main()
