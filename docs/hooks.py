"""MkDocs hook: the pages live in the repository too, where links to sources lead somewhere; on the site none do."""

from __future__ import annotations

import re
from typing import Any

_OUTWARD = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?:hasvideo|data_prep|configs|benchmarks|notebooks|tests)/[^)]*\)")


_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(?=<code>)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Keep the text of links to files outside of the pages, and drop the links."""
    return _OUTWARD.sub(r"\1", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Docstrings name others by Sphinx's roles, which Markdown shows as they are: keep the names only."""
    return _ROLE.sub("", html)
