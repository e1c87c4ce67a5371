"""Protocols of one's own, in YAML files.

name: winter
backend: fast            # or reference, the default
cells:
  fog: [1, 3, 5]
  jpeg_compression: 3
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corruptions.catalog import SEVERITIES, corruption
from corruptions.errors import CorruptionError, unknown_name
from corruptions.protocol import CHOICES, PROTOCOLS, Cell, Protocol

KEYS = ("name", "cells", "backend")
SUFFIXES = (".yaml", ".yml")


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
    if Path(text).suffix.lower() in SUFFIXES:
        return read_protocol(Path(text))
    raise CorruptionError(f"{unknown_name('protocol', text, PROTOCOLS)}; or the path of a YAML file")


def read_protocol(path: Path) -> Protocol:
    """Read a protocol from a YAML file.

    Args:
        path: A file with `name`, `cells` (for each corruption its severities: a list, or one number) and, if it is not the
            reference, `backend`.

    Returns:
        The protocol; its cells in the order of the file.

    Raises:
        CorruptionError: If the file cannot be read or is not as it should be; the text names file, line and key.
    """
    data = _load(path)
    for key in data:
        if key not in KEYS:
            closest = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f"did you mean {closest[0]!r}? " if closest else ""
            raise CorruptionError(f"{_place(path, data, key)}: unknown key {key!r}: {hint}known are {', '.join(KEYS)}")
    for key in ("name", "cells"):
        if key not in data:
            raise CorruptionError(f"{path}: the key '{key}' is missing; a protocol has {', '.join(KEYS)}")
    name, backend = data["name"], data.get("backend", "reference")
    if not isinstance(name, str) or not name.strip():
        raise CorruptionError(f"{_place(path, data, 'name')}: name is text, not {name!r}")
    if name in PROTOCOLS:
        raise CorruptionError(
            f"{_place(path, data, 'name')}: name {name!r} is that of a built-in protocol, whose numbers it would mix with "
            "its own: choose another"
        )
    if backend not in CHOICES:
        raise CorruptionError(f"{_place(path, data, 'backend')}: {unknown_name('backend', str(backend), CHOICES)}")
    return Protocol(str(name), _read_cells(path, data), backend)


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


def _read_cells(path: Path, data: Mapping[Any, Any]) -> tuple[Cell, ...]:
    table = data["cells"]
    if not isinstance(table, Mapping) or not table:
        raise CorruptionError(
            f"{_place(path, data, 'cells')}: cells maps corruptions to severities, such as `fog: [1, 3, 5]`"
        )
    cells: list[Cell] = []
    for name, levels in table.items():
        place = f"{_place(path, table, name)}: cells.{name}"
        try:
            corruption(str(name))
        except CorruptionError as error:
            raise CorruptionError(f"{place}: {error}") from error
        severities = levels if isinstance(levels, list) else [levels]
        if not severities:
            raise CorruptionError(f"{place}: no severity: give some of {SEVERITIES}, or leave the corruption out")
        for severity in severities:
            if isinstance(severity, bool) or not isinstance(severity, int) or severity not in SEVERITIES:
                raise CorruptionError(f"{place}: severity {severity!r} is none of {SEVERITIES}")
            if (str(name), int(severity)) in cells:
                raise CorruptionError(f"{place}: severity {severity} stands there twice")
            cells.append((str(name), int(severity)))
    return tuple(cells)


def _place(path: Path, node: Any, key: Any) -> str:
    """Name the file and the line of a key; a key that came through an anchor has no line."""
    position = (node.lc.data or {}).get(key)
    return str(path) if position is None else f"{path}:{position[0] + 1}"
