"""Mend 1: mmsegmentation without the compiled operations of mmcv.

mmsegmentation imports `mmcv.ops` for `point_sample`, which is pure PyTorch, but `mmcv.ops` imports the compiled module
`mmcv._ext`, which `mmcv-lite` lacks. While mmsegmentation is imported a stand-in has that name; its functions raise a
clear error when one is called. Afterwards the name is free again, because mmengine asks for its import spec later.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NoReturn

from adapt.errors import PrerequisiteError

EXTENSION = "mmcv._ext"


def has_compiled_ops() -> bool:
    """Tell whether the full mmcv, with its compiled operations, is installed."""
    return EXTENSION in sys.modules or importlib.util.find_spec(EXTENSION) is not None


class _StandIn(ModuleType):
    """A module that has every function one asks for, each of which only raises an error that names it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*_args: object, **_kwargs: object) -> NoReturn:
            raise PrerequisiteError(
                f"The network asked for {name!r}, a compiled operation of mmcv; the installed mmcv-lite has none. "
                "Choose another network, or install the full mmcv (it compiles for about 40 CPU minutes): "
                "`make setup OPS=1`."
            )

        return refuse


@contextlib.contextmanager
def stand_in_for_compiled_ops() -> Iterator[None]:
    """Let `mmcv.ops` be imported inside the block where mmcv has no compiled operations; do nothing where it has.

    Modules imported inside the block keep the stand-in: an operation called later still raises the clear error.

    Yields:
        Nothing.
    """
    if has_compiled_ops():
        yield
        return
    sys.modules[EXTENSION] = _StandIn(EXTENSION, "Stand-in for the compiled operations of mmcv.")
    try:
        yield
    finally:
        del sys.modules[EXTENSION]
