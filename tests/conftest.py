"""What one test leaves in its process does not reach another, and no test fails because the machine is slow."""

from __future__ import annotations

import sys

import hypothesis
import pytest

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let hypothesis draw subnormal numbers where an earlier test had torch flush them to zero, as tasks do."""
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False) and "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
