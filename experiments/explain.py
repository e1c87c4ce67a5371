"""Turn a validation error into one paragraph: file, line, key, what was got, what is allowed, the closest key."""

from __future__ import annotations

import difflib
import functools
import types
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from adapt.errors import SpecError
from experiments.document import Document, KeyPath

SHOWN_ERRORS = 5

# A file holds lists and mappings; which Python types stand behind them is no concern of its author.
_KINDS = {
    "tuple_type": "a list is wanted here, as in [a, b]",
    "list_type": "a list is wanted here, as in [a, b]",
    "dict_type": "a mapping is wanted here, as in {key: value}",
    "model_type": "a mapping is wanted here, as in {key: value}",
    "model_attributes_type": "a mapping is wanted here, as in {key: value}",
}


def closest(word: str, allowed: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the allowed word closest to `word`, or an empty text."""
    matches = difflib.get_close_matches(word, sorted(allowed), n=1, cutoff=0.5)
    return f" Did you mean '{matches[0]}'?" if matches else ""


def unknown(kind: str, word: str, allowed: Iterable[str], origin: str) -> SpecError:
    """Return the error for a name that is not among the allowed ones."""
    names = sorted(allowed)
    return SpecError(f"{origin}: unknown {kind} '{word}'.{closest(word, names)} Known: {', '.join(names) or 'none'}.")


def validate(shape: Any, data: Any, document: Document, at: KeyPath = ()) -> Any:
    """Validate `data`, which stands at `at` in `document`, against a pydantic type.

    Raises:
        SpecError: naming the file, line and key of each of the first errors.
    """
    try:
        return _adapter(shape).validate_python(data)
    except ValidationError as error:
        details = _drop_consequences(error.errors(include_url=False))
        lines = [_sentence(shape, detail, document, at) for detail in details[:SHOWN_ERRORS]]
        if len(details) > SHOWN_ERRORS:
            lines.append(f"... and {len(details) - SHOWN_ERRORS} more.")
        raise SpecError("\n".join(lines)) from error


def _drop_consequences(details: list[Any]) -> list[Any]:
    """Drop "too short" of a list whose own items are at fault: pydantic counts the valid ones only."""
    places = [detail["loc"] for detail in details]
    return [
        detail
        for detail in details
        if detail["type"] != "too_short"
        or not any(len(p) > len(detail["loc"]) and p[: len(detail["loc"])] == detail["loc"] for p in places)
    ]


@functools.cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def _sentence(shape: Any, detail: Any, document: Document, at: KeyPath) -> str:
    path = tuple(part for part in detail["loc"])
    key_path = (*at, *_written(path, _nested(document, at), is_missing=detail["type"] == "missing"))
    key = ".".join(str(part) for part in key_path) or "the file"
    origin = document.origin(key_path)
    if detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):  # of a model, of a dataclass
        allowed = _allowed_keys(shape, path[:-1])
        hint = closest(str(path[-1]), allowed)
        return (
            f"{origin}: {key}: unknown key '{path[-1]}'.{hint} Allowed here: {', '.join(sorted(allowed)) or 'nothing'}."
        )
    if detail["type"] == "missing":
        return f"{origin}: {key}: this key is required and missing."
    if detail["type"] == "union_tag_not_found":
        name = detail["ctx"]["discriminator"]
        return f"{origin}: {key}: the key {name} is required and missing: it tells which settings these are."
    if detail["type"] == "union_tag_invalid":
        names = [name.strip("' ") for name in detail["ctx"]["expected_tags"].split(",")]
        tag = str(detail["ctx"]["tag"])
        return f"{origin}: {key}: unknown name '{tag}'.{closest(tag, names)} Known: {', '.join(sorted(names))}."
    if detail["type"] == "too_short":
        context = detail["ctx"]
        return f"{origin}: {key}: at least {context['min_length']} item(s) wanted, got {context['actual_length']}."
    if detail["type"] == "model_attributes_type" and isinstance(detail["input"], str):
        # Settings of several kinds are told apart by `name` everywhere.
        return f"{origin}: {key}: a mapping is wanted here: write {{name: {detail['input']}}}."
    message = _KINDS.get(detail["type"]) or detail["msg"].removeprefix("Value error, ").removesuffix(".")
    got = detail.get("input")
    shown = "" if isinstance(got, dict | list) else f" (got {got!r})"
    return f"{origin}: {key}: {message[0].lower()}{message[1:]}{shown}."


def _nested(document: Document, at: KeyPath) -> Any:
    data: Any = document.data
    for part in at:
        data = data[part]
    return data


def _written(path: KeyPath, data: Any, is_missing: bool) -> KeyPath:
    """Drop the parts of pydantic's location that stand in no file (tags of unions, names of types).

    The last part of a missing key's location stands in no file either, but is what the error is about.
    """
    kept: list[str | int] = []
    for index, part in enumerate(path):
        last = index == len(path) - 1
        if isinstance(data, Mapping):
            if part in data:
                data = data[part]
            elif not (last and is_missing):
                continue
        elif isinstance(data, list | tuple):
            if not isinstance(part, int):
                continue
            data = data[part] if part < len(data) else None
        elif not isinstance(part, int) or not last:
            continue
        kept.append(part)
    return tuple(kept)


def _models(shape: Any) -> list[type]:
    """Return every settings model and dataclass that a type annotation may hold."""
    origin = get_origin(shape)
    if origin is Annotated:
        return _models(get_args(shape)[0])
    if origin in (Union, types.UnionType, tuple, list):
        return [model for argument in get_args(shape) for model in _models(argument)]
    if origin is dict:
        return _models(get_args(shape)[1])
    return [shape] if isinstance(shape, type) and (issubclass(shape, BaseModel) or is_dataclass(shape)) else []


def _fields(model: type) -> dict[str, Any]:
    """Return the annotation of each key of a model or a dataclass."""
    if issubclass(model, BaseModel):
        return {name: field.annotation for name, field in model.model_fields.items()}
    return get_type_hints(model)


def _allowed_keys(shape: Any, path: KeyPath) -> set[str]:
    """Return the keys that the models at `path` below `shape` have."""
    models = _models(shape)
    for part in path:
        deeper = [m for model in models if part in _fields(model) for m in _models(_fields(model)[str(part)])]
        tagged = [m for m in models if part in _tags(m)]
        models = deeper or tagged or models
    return {name for model in models for name in _fields(model)}


def _tags(model: type) -> set[str]:
    """Return the names by which pydantic tells a member of a union: its class's, and the literal ones of a tagged union."""
    literals = {str(tag) for name in ("name", "kind") for tag in get_args(_fields(model).get(name))}
    return {model.__name__} | literals
