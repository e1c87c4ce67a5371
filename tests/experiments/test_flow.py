"""A flow's module is looked up without importing it or the packages that it lies in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from adapt.tta.stream_settings import TemporalSettings
from experiments.flow import find_missing_flow


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that breaks when it is imported, with a module of the same kind in a package of its own."""
    name = "flows_of_test_flow"
    (tmp_path / name / "inner").mkdir(parents=True)
    for file in ("__init__.py", "inner/__init__.py", "inner/raft.py"):
        (tmp_path / name / file).write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_module_that_is_there_is_found_and_not_imported(package: str) -> None:
    for module in (package, f"{package}.inner", f"{package}.inner.raft"):
        assert find_missing_flow(TemporalSettings(flow=f"{module}:flow")) is None
    assert not [name for name in sys.modules if name.startswith(package)]


def test_a_module_that_is_not_there_is_named_with_the_key(package: str) -> None:
    for module in (f"{package}.outer", f"{package}.inner.raft.more", f"{package}..inner", "no_such_module"):
        conflict = find_missing_flow(TemporalSettings(flow=f"{module}:flow"))
        assert conflict is not None
        assert conflict.key == ("temporal", "flow")
        assert f"no module '{module}'" in conflict.text


def test_flows_of_our_own_need_no_module() -> None:
    for temporal in (None, TemporalSettings(), TemporalSettings(flow="farneback")):
        assert find_missing_flow(temporal) is None
