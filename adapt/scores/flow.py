"""The optical flow between two frames: DIS by default, which needs no weights; any other by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from adapt.errors import SpecError, TaskError

Flow = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]
"""The current and the next frame, (H, W, 3) uint8 RGB, to (H, W, 2) float32: how far each pixel of the current frame moves
to the right and down until the next, in pixels."""

# The preset's patches have 8 pixels a side and its finest scale is one half; OpenCV 5.0 ends the process below that.
_MINIMUM_SIDE = 16


def build_flow(name: str) -> Flow:
    """Give the function that finds the flow between two frames.

    Args:
        name: `dis` (Kroeger et al., ECCV 2016, arXiv:1603.03590; OpenCV's preset `medium`); `farneback` (Farneback, SCIA
            2003; the parameters of OpenCV's documentation); or `package.module:function`, importable, see `Flow`.

    Returns:
        The function; it keeps buffers between calls, so each thread needs its own.

    Raises:
        SpecError: If nothing has this name.
    """
    if name == "dis":
        return _build_dis()
    if name == "farneback":
        return _find_farneback
    return _check_result(name, _import(name))


def _build_dis() -> Flow:
    finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]  # OpenCV's stubs lack it

    def find(current: NDArray[np.uint8], following: NDArray[np.uint8]) -> NDArray[np.float32]:
        if min(current.shape[:2]) < _MINIMUM_SIDE:
            height, width = current.shape[:2]
            raise TaskError(
                f"A frame is {width}x{height} pixels, but the flow `dis` needs {_MINIMUM_SIDE} on each side: use larger "
                "frames, or the flow `farneback`."
            )
        return np.asarray(finder.calc(_to_gray(current), _to_gray(following), None), np.float32)

    return find


def _find_farneback(current: NDArray[np.uint8], following: NDArray[np.uint8]) -> NDArray[np.float32]:
    flow = cv2.calcOpticalFlowFarneback(
        _to_gray(current),
        _to_gray(following),
        None,
        pyr_scale=0.5,
        levels=3,
        winsize=15,
        iterations=3,
        poly_n=5,
        poly_sigma=1.2,
        flags=0,
    )
    return np.asarray(flow, np.float32)


def _to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def _import(name: str) -> Flow:
    module_name, _, function_name = name.partition(":")
    remedy = "Give `dis`, `farneback`, or `package.module:function` of a module that this Python can import."
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise SpecError(f"The flow '{name}' cannot be imported ({error}). {remedy}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise SpecError(f"The module '{module_name}' has no function '{function_name}' for the flow. {remedy}")
    found: Flow = function
    return found


def _check_result(name: str, function: Flow) -> Flow:
    """Wrap a foreign function so that a wrong result names it."""

    def find(current: NDArray[np.uint8], following: NDArray[np.uint8]) -> NDArray[np.float32]:
        flow = np.asarray(function(current, following))
        wanted = (*current.shape[:2], 2)
        if flow.shape != wanted or not np.issubdtype(flow.dtype, np.floating) or not np.isfinite(flow).all():
            raise TaskError(
                f"The flow '{name}' gave an array of shape {flow.shape} and dtype {flow.dtype}. It must give finite floats "
                f"of shape {wanted}: how far each pixel of its first argument moves right and down until the second."
            )
        return flow.astype(np.float32, copy=False)

    return find
