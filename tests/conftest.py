"""Fixtures for every test."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch is loaded: the tests' networks are tiny, and where workers share the cores more threads only wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Loading torch in the middle of an example is slow once; random examples must not turn CI red at random.
settings.register_profile("hasvideo", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("hasvideo")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that is not ours to redistribute: ``HASVIDEO_SHARED_DATA`` or ``../shared/data``."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HASVIDEO_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set HASVIDEO_SHARED_DATA to run this test")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped, and what it would take not to."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} skipped: {reason}")
