"""One of the things that are compared: a name, the records of its runs, and where the files beside them are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapt.errors import SpecError
from orchestrator.image_counts import FindFile
from orchestrator.leaderboard.row import Picture
from orchestrator.record import Record

SHOWN_KEYS = 8  # of two protocols that differ
SHOWN_ITEMS = 3  # of a list
SHOWN_CHARACTERS = 60  # of any other value


@dataclass(frozen=True)
class Side:
    """What is compared.

    Attributes:
        name: as shown.
        title: of the table that it stands in.
        protocol: what it was scored under.
        records: of its runs, one for each seed.
        find_file: finds the counts of every image beside a record.
        pictures: of fixed frames.
        problem: why it cannot be compared under this protocol; None where it can.
    """

    name: str
    title: str
    protocol: Mapping[str, Any]
    records: tuple[Record, ...]
    find_file: FindFile
    pictures: tuple[Picture, ...] = ()
    problem: str | None = None


def match_sides(selected: Sequence[Sequence[Side]]) -> list[tuple[Side, ...]]:
    """Put together the sides that share a protocol.

    Args:
        selected: for each thing to compare, the sides that it has: an entry of an experiment has one in each of its tables.

    Returns:
        One side of each thing, for every protocol that all of them were scored under; in the order of the first.

    Raises:
        SpecError: there is no such protocol; the keys that differ are named with their values.
    """
    by_protocol = [{_print(side.protocol): side for side in sides} for sides in selected]
    shared = [text for text in by_protocol[0] if all(text in sides for sides in by_protocol[1:])]
    if not shared:
        raise SpecError(_explain(selected))
    return [tuple(sides[text] for sides in by_protocol) for text in shared]


def _print(protocol: Mapping[str, Any]) -> str:
    return json.dumps(protocol, sort_keys=True)


def _explain(selected: Sequence[Sequence[Side]]) -> str:
    """Say what keeps two of the things apart: the first with the first other that shares no protocol with it."""
    first = selected[0]
    protocols = {_print(side.protocol) for side in first}
    others = [sides for sides in selected[1:] if not protocols & {_print(side.protocol) for side in sides}]
    if not others:  # each shares one with the first, but not the same
        return (
            f"'{first[0].name}' shares a protocol with each of the others, but no protocol is shared by all. Compare them in "
            "pairs."
        )
    pairs = [(one, other) for one in first for other in others[0]]
    closest = min(pairs, key=lambda pair: len(list_conflicts(pair[0].protocol, pair[1].protocol)))
    one, other = closest
    conflicts = sorted(list_conflicts(one.protocol, other.protocol), key=lambda conflict: conflict[0] != "kind")
    listed = "; ".join(f"{key} is {first} and {second}" for key, first, second in conflicts[:SHOWN_KEYS])
    more = f"; and {len(conflicts) - SHOWN_KEYS} more" if len(conflicts) > SHOWN_KEYS else ""
    return (
        f"'{one.name}' and '{other.name}' were scored under different protocols, and a difference between them would mean "
        f"nothing: {listed}{more}. Compare rows of one table of a leaderboard."
    )


def list_conflicts(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the keys in which two protocols differ, in full as `dataset.split`, with what to show of each value."""
    one, other = dict(_flatten(first)), dict(_flatten(second))
    missing = object()
    values = {key: (one.get(key, missing), other.get(key, missing)) for key in dict.fromkeys((*one, *other))}
    return [
        (key, *("not there" if value is missing else _show(value, beside) for value, beside in ((a, b), (b, a))))  # type: ignore[misc]
        for key, (a, b) in values.items()
        if a != b
    ]


def _flatten(data: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of JSON-able data with their dotted keys; lists of plain values are leaves."""
    if isinstance(data, Mapping) and data:
        for name, value in data.items():
            yield from _flatten(value, f"{key}.{name}" if key else name)
    elif isinstance(data, list) and any(isinstance(item, Mapping) for item in data):
        for place, item in enumerate(data):
            yield from _flatten(item, f"{key}.{place}")
    else:
        yield key, data


def _show(value: Any, beside: Any) -> str:
    """Print a value briefly; of a list only what the other one lacks."""
    if isinstance(value, list) and isinstance(beside, list):
        own = [item for item in value if item not in beside]
        listed = ", ".join(json.dumps(item) for item in own[:SHOWN_ITEMS]) + (" ..." if len(own) > SHOWN_ITEMS else "")
        return f"{len(value)} values" + (f", among them {listed}" if own else "")
    text = json.dumps(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
