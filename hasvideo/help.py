"""How ``--help`` looks: what an option does, its default and the reason for it; no types, nothing twice."""

from __future__ import annotations

import re
import shutil
import textwrap
from argparse import SUPPRESS, Action, RawDescriptionHelpFormatter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

WIDEST = 120  # columns; longer lines are hard to follow
_METAVARS: dict[Any, str] = {int: "N", int | None: "N", float: "X", float | None: "X"}


class HelpFormatter(RawDescriptionHelpFormatter):
    """Formats the help of a :class:`hasvideo.commands.CommandParser`.

    What an option's help says in square brackets at its end is the reason for its default, or where there is none, what
    happens without the option: ``seconds of context [as trained]`` becomes ``seconds of context (default: 5; as
    trained)``, or ``(default: as trained)``.
    """

    def __init__(self, prog: str, **_: Any) -> None:
        super().__init__(prog, max_help_position=27, width=_width())

    def _format_args(self, action: Action, default_metavar: str) -> str:
        if action.nargs in ("+", "*"):
            return f"{action.metavar or default_metavar} ..."
        return super()._format_args(action, default_metavar)

    def _format_usage(self, usage: str | None, actions: Iterable[Action], *_: Any) -> str:
        actions = list(actions)
        needed = [action for action in actions if action.option_strings and action.required]
        words = [f"usage: {self._prog}", *map(self._shortest, needed), "[options]"]
        words += [self._format_args(action, action.dest) for action in actions if not action.option_strings]
        return textwrap.fill(" ".join(words), self._width, subsequent_indent=" " * 7) + "\n\n"

    def _shortest(self, action: Action) -> str:
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{action.option_strings[0]} {value}"

    def _format_action_invocation(self, action: Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        names = ", ".join(name for name in action.option_strings if not name.endswith("+"))
        value = "" if action.nargs == 0 else self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{names} {value}".rstrip()

    def _get_default_metavar_for_optional(self, action: Action) -> str:
        kind = getattr(action, "_typehint", action.type)
        return _METAVARS.get(kind) or action.dest.rpartition(".")[2].upper()

    def _expand_help(self, action: Action) -> str:
        text, reason = split_reason(action.help or "")
        default = _show(action.default) if action.option_strings and action.nargs != 0 else ""
        if action.option_strings and action.required:
            return f"{text} (required)"
        known = "; ".join(filter(None, (default, reason)))
        return f"{text} (default: {known})" if known else text


def split_reason(text: str) -> tuple[str, str]:
    """Split the help of an option into what it does and the reason for its default, which is in square brackets.

    Args:
        text: the help.

    Returns:
        Both; the reason is empty where there is none.

    >>> split_reason("probability that a part is hidden [the paper's]")
    ('probability that a part is hidden', "the paper's")
    """
    found = re.fullmatch(r"(.*?)(?: \[([^\[\]]+)\])?", text, re.DOTALL)
    assert found is not None
    return found[1], found[2] or ""


def list_settings(names: Mapping[str, Sequence[str]]) -> str:
    """List options, a paragraph for each group: ``hiding  --hiding.num-segments .p .fill``.

    Args:
        names: options by the title of their group.
    """
    indent = max(map(len, names)) + 2
    lines = []
    for title, options in names.items():
        prefix = re.match(r"--\w+(?=\.)|", options[0])[0]  # type: ignore[index]
        short = [options[0], *(option.removeprefix(prefix) for option in options[1:])]
        text = f"{title:<{indent}}{' '.join(short)}"
        lines.append(textwrap.fill(text, _width() - 2, subsequent_indent=" " * indent, break_on_hyphens=False))
    return "\n".join(lines)


def _width() -> int:
    return min(shutil.get_terminal_size().columns, WIDEST) - 2


def _show(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:g}"
    if default is None or default == SUPPRESS or default in ("", [], {}, ()):
        return ""
    if isinstance(default, list) and all(isinstance(word, str) for word in default):
        return " ".join(default)
    return str([*default] if isinstance(default, tuple) else default)
