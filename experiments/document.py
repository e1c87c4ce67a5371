"""A YAML document that remembers where each of its keys was written, for error messages."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase, CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean

from adapt.errors import SpecError

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """Plain data and the place ("file:line") where each key of it was written."""

    data: dict[str, Any]
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def origin(self, path: KeyPath) -> str:
        """Return where `path`, or its closest written ancestor, stands."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return "?"

    def merged(self, override: Document) -> Document:
        """Return this document with `override` laid over it: mappings merge, anything else is replaced."""
        data = copy.deepcopy(self.data)
        _merge(data, override.data)
        kept = {path: origin for path, origin in self.origins.items() if _lookup(data, path) is not _ABSENT}
        return Document(data, kept | {path: origin for path, origin in override.origins.items() if path})

    def without(self, key: str) -> Document:
        """Return this document less one top-level key."""
        data = {name: value for name, value in self.data.items() if name != key}
        return Document(data, {path: origin for path, origin in self.origins.items() if path[:1] != (key,)})

    def section(self, *path: str) -> Document:
        """Return the mapping at `path` as a document of its own (empty where there is none)."""
        data = _lookup(self.data, path)
        origins = {p[len(path) :]: origin for p, origin in self.origins.items() if p[: len(path)] == path}
        return Document(copy.deepcopy(data) if isinstance(data, dict) else {}, origins)


_ABSENT = object()


def _lookup(data: Any, path: KeyPath) -> Any:
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return _ABSENT
    return data


def _merge(base: dict[str, Any], override: Mapping[str, Any]) -> None:
    for key, value in override.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = copy.deepcopy(value)


def read_document(path: Path) -> Document:
    """Read a YAML 1.2 file whose top level is a mapping.

    Raises:
        SpecError: the file cannot be read, is no YAML (line and column named), or holds no mapping.
    """
    try:
        loaded = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions.") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        problem = " ".join(str(error.problem).split())
        raise SpecError(f"{place}: this is not valid YAML: {problem}. Mend the line and try again.") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: this is not valid YAML: {error}. Mend the file and try again.") from error
    if not isinstance(loaded, CommentedMap):
        raise SpecError(f"{path}: the file must hold a mapping (key: value lines) at its top level.")
    origins: dict[KeyPath, str] = {(): str(path)}
    data = _plain(loaded, (), str(path), origins)
    return Document(data, origins)


def _plain(node: Any, path: KeyPath, file: str, origins: dict[KeyPath, str]) -> Any:
    """Turn ruamel's nodes into plain data, noting the line of every key."""
    if isinstance(node, CommentedMap):
        result: dict[str, Any] = {}
        for key, value in node.items():
            _note(node, key, (*path, str(key)), file, origins)
            if not isinstance(key, str):
                raise SpecError(
                    f"{origins[(*path, str(key))]}: a key is text, not {key!r}. Put it in quotes, or correct it."
                )
            result[str(key)] = _plain(value, (*path, str(key)), file, origins)
        return result
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            _note(node, index, (*path, index), file, origins)
        return [_plain(value, (*path, index), file, origins) for index, value in enumerate(node)]
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, ScalarBoolean):  # a boolean with an anchor, which is an int and no bool
        return bool(node)
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    raise SpecError(
        f"{origins.get(path, file)}: values are text, numbers, true/false, lists or mappings, not {node!r}."
    )


def _note(node: CommentedBase, key: Any, path: KeyPath, file: str, origins: dict[KeyPath, str]) -> None:
    # Keys that arrive through a merge (<<) have no line of their own: their parent's stands for them.
    position = (node.lc.data or {}).get(key)
    origins[path] = origins.get(path[:-1], file) if position is None else f"{file}:{position[0] + 1}"


def parse_override(text: str) -> Document:
    """Turn a command-line override `dotted.key=value` into a document; the value is read as YAML.

    Raises:
        SpecError: the text has no `=` or no key, or the value is no YAML.
    """
    key, separator, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not separator or not all(path):
        raise SpecError(
            f"override {text!r}: an override reads KEY=VALUE, for example matrix.seed=[0,1] "
            "or stages.daformer.training.iterations=100."
        )
    try:
        parsed = YAML(typ="rt").load(value)
    except YAMLError as error:
        raise SpecError(
            f"override {text!r}: the value is not valid YAML. Quote it, as in 'matrix.seed=[0,1]'."
        ) from error
    place = f"override {text!r}"
    origins: dict[KeyPath, str] = {path: place}
    data = _plain(parsed, path, place, origins)
    for part in reversed(path):
        data = {part: data}
    return Document(data, dict.fromkeys(origins, place))
