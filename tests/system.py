"""What tests need of the system: packages that no ``pip install`` brings, and how to get them."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def lacks(what: str, package: str) -> NoReturn:
    """Skip the test; where ``HASVIDEO_REQUIRE_SYSTEM`` is set, as in CI, fail it.

    Args:
        what: the test needs.
        package: of Debian that has it.
    """
    reason = f"needs {what} (apt install {package})"
    if os.environ.get("HASVIDEO_REQUIRE_SYSTEM"):
        pytest.fail(f"{reason}, and HASVIDEO_REQUIRE_SYSTEM is set", pytrace=False)
    pytest.skip(reason)
