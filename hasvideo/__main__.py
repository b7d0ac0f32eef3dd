"""Run ``hasvideo COMMAND ...``, which is also ``python -m hasvideo COMMAND ...``."""

from __future__ import annotations

import difflib
import importlib
import sys

import hasvideo
from hasvideo.commands import COMMANDS, fail, run


def main() -> None:
    """Run the command that the first argument names, or list the commands."""
    name, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("--help", [])
    if name in ("-h", "--help"):
        run(lambda _: print(_usage()))
    elif name == "--version":
        print(f"hasvideo {hasvideo.__version__}")
    elif name in COMMANDS:
        run(importlib.import_module(f"hasvideo.{name}").main, arguments)
    else:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        fail(
            f"unknown command {name!r}; {f'did you mean {close[0]}? ' if close else ''}known: {', '.join(COMMANDS)}", 2
        )


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(
        ["usage: hasvideo COMMAND ...    (or python -m hasvideo.COMMAND ...)", "", *lines, "",
         "hasvideo COMMAND --help shows a command's options; hasvideo --version the version."]
    )  # fmt: skip


if __name__ == "__main__":
    main()
