"""JSON as it should be: every key once, and every number finite. Python's own reader takes the last of two equal keys."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from adapt.errors import SpecError

_SHOWN = 3  # mistakes that an error lists before it counts the rest


class _Object(dict[str, Any]):
    """An object that remembers which of its keys stood there twice."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs] if len(pairs) > len(self) else []
        self.repeated = dict.fromkeys(name for name in names if names.count(name) > 1)


def parse_json(text: str, origin: str) -> Any:
    """Read a JSON text.

    Args:
        text: the text.
        origin: what an error calls it: a file.

    Returns:
        Plain data.

    Raises:
        SpecError: it is no JSON (line and column named), repeats a key, or holds NaN or an infinite number (place named).
    """
    try:
        data = json.loads(text, object_pairs_hook=_Object)
    except json.JSONDecodeError as error:
        place = f"{origin}:{error.lineno}:{error.colno}"
        merged = " It holds the marks of a merge: choose one side." if "<<<<<<<" in text else " Mend the line."
        raise SpecError(f"{place}: this is not valid JSON: {error.msg}.{merged}") from error
    except RecursionError as error:
        raise SpecError(f"{origin}: this JSON is nested too deeply to be an entry.") from error
    mistakes = list_mistakes(data)
    if mistakes:
        rest = f" And {len(mistakes) - _SHOWN} more." if len(mistakes) > _SHOWN else ""
        raise SpecError("\n".join(f"{origin}: {mistake}" for mistake in mistakes[:_SHOWN]) + rest)
    return data


def list_mistakes(data: Any, path: tuple[str, ...] = ()) -> list[str]:
    """List the keys that stand in one object twice and the numbers that are not finite, each with its place."""
    place = ".".join(path) or "the file"
    if isinstance(data, float) and not math.isfinite(data):
        return [f"{place}: {data} is no score: write null, and a `reason` beside it."]
    if isinstance(data, dict):
        repeated = getattr(data, "repeated", {})
        own = [f"{'.'.join((*path, name))}: this key stands there twice: remove one of the two." for name in repeated]
        return own + [mistake for name, value in data.items() for mistake in list_mistakes(value, (*path, str(name)))]
    if isinstance(data, list):
        return [mistake for place, value in enumerate(data) for mistake in list_mistakes(value, (*path, str(place)))]
    return []


def dump_json(data: Any, width: int = 110) -> str:
    """Return JSON text that merges well: sorted keys, one a line, and a list on a line of its own where it fits.

    Args:
        data: plain data, all numbers finite.
        width: of a line, in characters.

    Raises:
        ValueError: a number is not finite.
    """
    return _dump(data, 0, width) + "\n"


def _dump(data: Any, depth: int, width: int) -> str:
    inner, outer = " " * (depth + 1), " " * depth
    if isinstance(data, dict) and data:
        lines = [f"{inner}{json.dumps(str(name))}: {_dump(data[name], depth + 1, width)}" for name in sorted(data)]
        return "{\n" + ",\n".join(lines) + f"\n{outer}}}"
    if isinstance(data, list | tuple) and data:
        flat = json.dumps(data, allow_nan=False)
        if len(flat) + depth <= width and "{" not in flat:
            return flat
        return "[\n" + ",\n".join(f"{inner}{_dump(value, depth + 1, width)}" for value in data) + f"\n{outer}]"
    return json.dumps(data, allow_nan=False)
