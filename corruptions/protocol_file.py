"""Protocols as plain data: in YAML files of one's own, inside an experiment, and back.

name: winter
backend: fast            # the default, or reference
cells:
  fog: [1, 3, 5]
  jpeg_compression: 3
channel_order: RGB       # the default, or BGR
insertion_point: before_resize    # the default, or after_resize
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from corruptions.catalog import SEVERITIES, corruption
from corruptions.errors import CorruptionError, unknown_name
from corruptions.protocol import DEFAULT_BACKEND, PROTOCOLS, Cell, ChannelOrder, InsertionPoint, Protocol

KEYS = ("name", "cells", "backend", "channel_order", "insertion_point")
_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"channel_order": get_args(ChannelOrder), "insertion_point": get_args(InsertionPoint)}
)
SUFFIXES = (".yaml", ".yml")


class ProtocolError(CorruptionError):
    """A protocol's data is not as it should be.

    Attributes:
        keys: What leads to the mistake, such as ("cells", "fog"); empty where it is the whole.
    """

    def __init__(self, text: str, *keys: str) -> None:
        """Keep where the mistake is beside what it is."""
        super().__init__(text)
        self.keys = keys


def find_protocol(text: str) -> Protocol:
    """Find the protocol that a name or the path of a YAML file means.

    Args:
        text: One of the keys of `PROTOCOLS`, or a path: it ends in .yaml or .yml.

    Returns:
        The protocol.

    Raises:
        CorruptionError: If no protocol has that name, or if the file is not as it should be.
    """
    if text in PROTOCOLS:
        return PROTOCOLS[text]
    if is_protocol_file(text):
        return read_protocol(Path(text))
    raise CorruptionError(f"{unknown_name('protocol', text, PROTOCOLS)}; or the path of a YAML file")


def is_protocol_file(text: str) -> bool:
    """Tell whether a text that should mean a protocol is the path of a file, by its end; the file need not exist.

    Example:
        >>> is_protocol_file("own/winter.YML"), is_protocol_file("michaelis")
        (True, False)
    """
    return Path(text).suffix.lower() in SUFFIXES


def read_protocol(path: Path) -> Protocol:
    """Read a protocol from a YAML file.

    Args:
        path: A file with the keys that `parse_protocol` takes.

    Returns:
        The protocol; its cells in the order of the file.

    Raises:
        CorruptionError: If the file cannot be read or is not as it should be; the text names file, line and key.
    """
    data = _load(path)
    try:
        return parse_protocol(data)
    except ProtocolError as error:
        raise CorruptionError(f"{_place(path, data, error.keys)}: {error}") from error


def parse_protocol(data: Mapping[Any, Any]) -> Protocol:
    """Make a protocol of plain data.

    Args:
        data: `name`, `cells` (for each corruption its severities: a list, or one number) and, where they are not the
            default, `backend`, `channel_order` and `insertion_point`, see `Protocol`. The name of a built-in protocol
            stands for that one's cells, channel order and insertion point only; its backend may be the other one.

    Returns:
        The protocol; its cells in the order of the data.

    Raises:
        ProtocolError: If the data is not as it should be; the text names the key.

    Example:
        >>> parse_protocol({"name": "winter", "cells": {"snow": [5, 1], "fog": 3}}).cells
        (('snow', 5), ('snow', 1), ('fog', 3))
    """
    for key in data:
        if key not in KEYS:
            closest = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f"did you mean {closest[0]!r}? " if closest else ""
            raise ProtocolError(f"unknown key {key!r}: {hint}known are {', '.join(KEYS)}", key)
    for key in ("name", "cells"):
        if key not in data:
            raise ProtocolError(f"the key '{key}' is missing; a protocol has {', '.join(KEYS)}")
    name = data["name"]
    if not isinstance(name, str) or not name.strip():
        raise ProtocolError(f"name is text, not {name!r}", "name")
    cells = _parse_cells(data["cells"])
    if name in PROTOCOLS and sorted(cells) != sorted(PROTOCOLS[name].cells):
        raise ProtocolError(
            f"name {name!r} is that of a built-in protocol with other cells, whose numbers it would mix with its own: choose "
            "another name",
            "name",
        )
    chosen: dict[str, Any] = {key: data[key] for key in _CHOICES if key in data}
    for key, value in chosen.items():
        if value not in _CHOICES[key]:
            raise ProtocolError(f"{key}: {value!r} is none of {', '.join(_CHOICES[key])}", key)
        if name in PROTOCOLS and value != getattr(PROTOCOLS[name], key):
            raise ProtocolError(
                f"name {name!r} is that of a built-in protocol, whose {key} is {getattr(PROTOCOLS[name], key)}, not {value}, "
                "and whose numbers it would mix with its own: choose another name",
                "name",
            )
    try:
        return Protocol(str(name), cells, **chosen).with_backend(data.get("backend", DEFAULT_BACKEND))
    except CorruptionError as error:
        raise ProtocolError(f"backend: {error}", "backend") from error


def describe(protocol: Protocol) -> dict[str, Any]:
    """Write a protocol as the plain data that `parse_protocol` reads.

    Args:
        protocol: The protocol.

    Returns:
        name, cells and backend; channel order and insertion point where they are not the default. Corruptions come in the
        order of their first cells: where the cells of one are not together, they come together here, and the protocol that
        is read from it has them in this order.

    Example:
        >>> describe(Protocol("winter", (("snow", 5), ("snow", 1), ("fog", 3))))
        {'name': 'winter', 'cells': {'snow': [5, 1], 'fog': [3]}, 'backend': 'fast'}
    """
    cells: dict[str, list[int]] = {}
    for name, severity in protocol.cells:
        cells.setdefault(name, []).append(severity)
    default = Protocol(protocol.name, protocol.cells)
    chosen = {key: getattr(protocol, key) for key in _CHOICES if getattr(protocol, key) != getattr(default, key)}
    return {"name": protocol.name, "cells": cells, "backend": protocol.backend, **chosen}


def _parse_cells(table: Any) -> tuple[Cell, ...]:
    if not isinstance(table, Mapping) or not table:
        raise ProtocolError("cells maps corruptions to severities, such as `fog: [1, 3, 5]`", "cells")
    cells: list[Cell] = []
    for name, levels in table.items():
        where = ("cells", name)
        try:
            corruption(str(name))
        except CorruptionError as error:
            raise ProtocolError(f"cells.{name}: {error}", *where) from error
        severities = levels if isinstance(levels, list | tuple) else [levels]
        if not severities:
            raise ProtocolError(
                f"cells.{name}: no severity: give some of {SEVERITIES}, or leave the corruption out", *where
            )
        for severity in severities:
            if isinstance(severity, bool) or not isinstance(severity, int) or severity not in SEVERITIES:
                raise ProtocolError(f"cells.{name}: severity {severity!r} is none of {SEVERITIES}", *where)
            if (str(name), int(severity)) in cells:
                raise ProtocolError(f"cells.{name}: severity {severity} stands there twice", *where)
            cells.append((str(name), int(severity)))
    return tuple(cells)


def _load(path: Path) -> Mapping[Any, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        data = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CorruptionError(f"{path}: the protocol cannot be read ({error.strerror or error})") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise CorruptionError(f"{place}: this is not valid YAML: {' '.join(str(error.problem).split())}") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise CorruptionError(f"{path}: this is not valid YAML: {error}") from error
    if not isinstance(data, Mapping):
        raise CorruptionError(f"{path}: a protocol is a mapping of the keys {', '.join(KEYS)}")
    return data


def _place(path: Path, data: Any, keys: tuple[Any, ...]) -> str:
    """Name the file and the line of a key; a key that came through an anchor has no line."""
    position = None
    for key in keys:
        position = (data.lc.data or {}).get(key)
        data = data[key]
    return str(path) if position is None else f"{path}:{position[0] + 1}"
