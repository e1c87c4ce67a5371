"""JSON as it should be: every key once, every number finite, and not too deep. Python's own reader takes the last of equal keys."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from adapt.errors import SpecError

DEEPEST = 64  # levels; ours: an entry has 6, and what reads it follows them by recursion
LARGEST = 1e300  # ours: sums of larger numbers overflow

_SHOWN = 3  # mistakes that an error lists before it counts the rest


def parse_json(text: str, origin: str) -> Any:
    """Read a JSON text.

    Args:
        text: the text.
        origin: what an error calls it: a file.

    Returns:
        Plain data.

    Raises:
        SpecError: it is no JSON (line and column named), repeats a key, or holds a number or a text that can be no part of an
            entry (place named).
    """
    repeated: list[tuple[dict[str, Any], list[str]]] = []  # with the objects themselves, so that no id comes again

    def collect(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        data = dict(pairs)
        if len(pairs) > len(data):
            counts = Counter(name for name, _ in pairs)
            repeated.append((data, [name for name, count in counts.items() if count > 1]))
        return data

    try:
        data = json.loads(text, object_pairs_hook=collect)
    except json.JSONDecodeError as error:
        place = f"{origin}:{error.lineno}:{error.colno}"
        merged = " It holds the marks of a merge: choose one side." if "<<<<<<<" in text else " Mend the line."
        raise SpecError(f"{place}: this is not valid JSON: {error.msg}.{merged}") from error
    except ValueError as error:  # a number of thousands of digits, which Python refuses to read
        raise SpecError(f"{origin}: this JSON holds a number that is too long to be read: {error}.") from error
    except RecursionError as error:
        raise SpecError(f"{origin}: this JSON is nested too deeply to be an entry.") from error
    mistakes = _list_mistakes(data, {id(each): names for each, names in repeated})
    if mistakes:
        rest = f" And {len(mistakes) - _SHOWN} more." if len(mistakes) > _SHOWN else ""
        raise SpecError("\n".join(f"{origin}: {mistake}" for mistake in mistakes[:_SHOWN]) + rest)
    return data


def _list_mistakes(data: Any, repeated: Mapping[int, Sequence[str]], path: tuple[str, ...] = ()) -> list[str]:
    """List what no entry may hold, each with its place; `repeated` names by id of an object the keys that stand there twice."""
    place = ".".join(path) or "the file"
    if len(path) > DEEPEST:
        return [f"{path[0]}: this JSON is nested too deeply to be an entry."]
    if isinstance(data, int | float) and not abs(data) <= LARGEST:  # nan is neither
        shown = f"a number of {len(str(data))} digits" if isinstance(data, int) else str(data)
        return [f"{place}: {shown} is no score: write null, and a `reason` beside it."]
    if isinstance(data, str) and not _is_unicode(data):
        return [f"{place}: this text holds half of a character (a lone surrogate): write it again."]
    if isinstance(data, dict):
        own = [
            f"{'.'.join((*path, name))}: this key stands there twice: remove one of the two."
            for name in repeated.get(id(data), ())
        ]
        own += [f"{place}: a key holds half of a character: write it again." for name in data if not _is_unicode(name)]
        return own + [text for name, value in data.items() for text in _list_mistakes(value, repeated, (*path, name))]
    if isinstance(data, list):
        return [text for n, value in enumerate(data) for text in _list_mistakes(value, repeated, (*path, str(n)))]
    return []


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def dump_json(data: Any, width: int = 110, as_it_is: Collection[str] = ()) -> str:
    """Return JSON text that merges well: sorted keys, one a line, and a list on a line of its own where it fits.

    Args:
        data: plain data, all numbers finite.
        width: of a line, in characters.
        as_it_is: keys whose objects keep their order, because it says something.

    Raises:
        ValueError: a number is not finite.
    """
    return _dump(data, 0, width, as_it_is) + "\n"


def _dump(data: Any, depth: int, width: int, as_it_is: Collection[str], is_sorted: bool = True) -> str:
    inner, outer = " " * (depth + 1), " " * depth
    if isinstance(data, dict) and data:
        lines = [
            f"{inner}{json.dumps(str(name))}: {_dump(data[name], depth + 1, width, as_it_is, name not in as_it_is)}"
            for name in (sorted(data) if is_sorted else data)
        ]
        return "{\n" + ",\n".join(lines) + f"\n{outer}}}"
    if isinstance(data, list | tuple) and data:
        flat = json.dumps(data, allow_nan=False)
        if len(flat) + depth <= width and "{" not in flat:
            return flat
        return (
            "[\n" + ",\n".join(f"{inner}{_dump(value, depth + 1, width, as_it_is)}" for value in data) + f"\n{outer}]"
        )
    return json.dumps(data, allow_nan=False)
