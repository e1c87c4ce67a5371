"""How loops are compiled: with or without a cache on disk, and never across files, where the cache would go stale."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import numba
import pytest
from numba.core.registry import CPUDispatcher

import corruptions.fast
from corruptions.fast.compiled import compiled

MODULES = [module.name for module in pkgutil.iter_modules(corruptions.fast.__path__)]


def test_loops_compile_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_it = numba.njit

    def refuse_cache(*functions: Any, **options: Any) -> Any:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return compile_it(*functions, **options)

    monkeypatch.setattr(numba, "njit", refuse_cache)
    assert compiled(lambda value: value + 1)(2) == 3


@pytest.mark.parametrize("name", MODULES)
def test_loops_call_loops_of_their_own_file_only(name: str) -> None:
    module = importlib.import_module(f"corruptions.fast.{name}")
    known = {key: value for key, value in vars(module).items() if isinstance(value, CPUDispatcher)}
    for function in known.values():
        if function.py_func.__module__ != module.__name__:
            continue
        called = [known[key] for key in function.py_func.__code__.co_names if key in known]
        assert {other.py_func.__module__ for other in called} <= {module.__name__}, function


def test_every_file_is_looked_at() -> None:
    assert {"stream", "smoothing", "operations", "backend"} <= set(MODULES)
    assert len(MODULES) >= 15
