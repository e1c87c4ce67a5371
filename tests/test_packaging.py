"""What is installed is all that there is."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_package_is_installed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = settings["tool"]["setuptools"]["packages"]
    found = {
        str(file.parent.relative_to(ROOT)).replace("/", ".")
        for name in ("adapt", "corruptions", "experiments", "orchestrator")
        for file in (ROOT / name).rglob("__init__.py")
    }
    assert set(listed) == found
    assert len(listed) == len(set(listed))
