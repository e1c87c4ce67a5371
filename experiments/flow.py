"""Whether the module of an optical flow that a stage names is there: told without importing it, or what it lies in."""

from __future__ import annotations

import importlib.util
from importlib.machinery import PathFinder

from adapt.tta.stream_settings import TemporalSettings
from experiments.conflict import Conflict


def find_missing_flow(temporal: TemporalSettings | None) -> Conflict | None:
    """Find a flow `package.module:function` whose module this Python does not have.

    Whether the module has that function is seen when the task runs.

    Args:
        temporal: of a stream's stage.
    """
    if temporal is None or ":" not in temporal.flow:
        return None
    module = temporal.flow.partition(":")[0]
    if _is_there(module):
        return None
    text = (
        f"the flow '{temporal.flow}' cannot be imported: this Python has no module '{module}'. Install it or put its folder "
        "on PYTHONPATH, or write `dis` or `farneback`."
    )
    return Conflict(("temporal", "flow"), text)


def _is_there(module: str) -> bool:
    """Look a module up from its outermost package on; `find_spec` of the whole name would import the packages."""
    outermost, *inner = module.split(".")
    spec = importlib.util.find_spec(outermost)
    name = outermost
    for part in inner:
        if spec is None or spec.submodule_search_locations is None or not part:
            return False
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    return spec is not None
