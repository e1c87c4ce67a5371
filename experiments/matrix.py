"""The axes of an experiment: their product, and the filling in of `${matrix.AXIS}`."""

from __future__ import annotations

import itertools
import re
from typing import Any

from adapt.errors import SpecError
from experiments.explain import unknown
from experiments.schema import MatrixSettings

Point = dict[str, Any]

_AXIS = re.compile(r"\$\{matrix\.([A-Za-z][A-Za-z0-9_]*)((?:\.[A-Za-z0-9_]+)*)\}")


def list_points(matrix: MatrixSettings) -> list[Point]:
    """Return the points of a matrix in the order of its axes; an empty matrix has one empty point.

    `exclude` drops each point that agrees with one of its entries on all of the entry's axes; `include` adds its
    entries as they are, and without axes they are all there is.
    """
    product = itertools.product(*matrix.axes.values()) if matrix.axes or not matrix.include else ()
    points = [dict(zip(matrix.axes, values, strict=True)) for values in product]
    kept = [p for p in points if not any(all(p.get(k) == v for k, v in entry.items()) for entry in matrix.exclude)]
    return kept + [dict(entry) for entry in matrix.include if entry not in kept]


def list_used_axes(data: Any) -> set[str]:
    """Return the names of the axes that nested data refers to."""
    if isinstance(data, str):
        return {axis for axis, _ in _AXIS.findall(data)}
    if isinstance(data, dict):
        return {axis for value in data.values() for axis in list_used_axes(value)}
    if isinstance(data, list | tuple):
        return {axis for value in data for axis in list_used_axes(value)}
    return set()


def fill_in(data: Any, point: Point, where: str) -> Any:
    """Replace every `${matrix.AXIS}` in nested data by the point's value, and `${matrix.AXIS.KEY}` by what a mapping holds.

    A text that is nothing but the reference takes the value's own type; inside a longer text it is printed.

    Raises:
        SpecError: the matrix has no such axis, or its value no such key.
    """
    if isinstance(data, str):
        if "${" not in data:
            return data
        whole = _AXIS.fullmatch(data)
        if whole:
            return _value(whole, point, where)
        return _AXIS.sub(lambda match: str(_value(match, point, where)), data)
    if isinstance(data, dict):
        return {key: fill_in(value, point, where) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [fill_in(value, point, where) for value in data]
    return data


def _value(match: re.Match[str], point: Point, where: str) -> Any:
    axis, keys = match.groups()
    if axis not in point:
        raise unknown("axis of the matrix", axis, point, where)
    value = point[axis]
    for key in keys.split(".")[1:]:
        if not isinstance(value, dict):
            raise SpecError(f"{where}: {match.group()} asks for the key '{key}' of {value!r}, which is no mapping.")
        if key not in value:
            raise unknown(f"key of axis '{axis}'", key, value, where)
        value = value[key]
    return value
