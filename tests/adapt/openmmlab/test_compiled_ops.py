"""The stand-in for mmcv's compiled operations: there during the import, a clear error when called, gone afterwards."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from adapt.errors import PrerequisiteError
from adapt.openmmlab.compiled_ops import EXTENSION, has_compiled_ops, stand_in_for_compiled_ops

lite_only = pytest.mark.skipif(has_compiled_ops(), reason="the full mmcv is installed: nothing to stand in for")


@lite_only
def test_stand_in_is_there_inside_the_block_and_gone_after_it() -> None:
    with stand_in_for_compiled_ops():
        extension = importlib.import_module(EXTENSION)
        assert hasattr(extension, "psamask_forward")
        assert not hasattr(extension, "__wrapped__")
    assert EXTENSION not in sys.modules
    with pytest.raises(PrerequisiteError, match=r"'psamask_forward'.*make setup OPS=1"):
        extension.psamask_forward(1, key=2)


@lite_only
def test_stand_in_is_taken_away_when_the_import_fails() -> None:
    with pytest.raises(ZeroDivisionError), stand_in_for_compiled_ops():
        raise ZeroDivisionError
    assert EXTENSION not in sys.modules


def test_nothing_happens_where_mmcv_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    real = type(sys)(EXTENSION)
    monkeypatch.setitem(sys.modules, EXTENSION, real)
    with stand_in_for_compiled_ops():
        assert sys.modules[EXTENSION] is real
    assert sys.modules[EXTENSION] is real


@lite_only
def test_operation_captured_by_mmcv_raises_the_clear_error() -> None:
    import torch

    import adapt.openmmlab  # noqa: F401

    psa_mask = importlib.import_module("mmcv.ops").PSAMask("collect", (3, 3))
    with pytest.raises(PrerequisiteError, match="psamask_forward"):
        psa_mask(torch.zeros(1, 9, 4, 4))


def test_importing_the_wall_is_silent_and_leaves_no_stand_in() -> None:
    script = (
        "import sys, importlib.util; before = importlib.util.find_spec('mmcv._ext') is not None\n"
        "import adapt.openmmlab\n"
        "assert ('mmcv._ext' in sys.modules) <= before\n"
        "assert (importlib.util.find_spec('mmcv._ext') is not None) == before\n"
    )
    done = subprocess.run([sys.executable, "-W", "default", "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
