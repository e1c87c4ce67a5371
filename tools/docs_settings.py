"""Tables of settings for the reference: every key with its type, its default and the sentence of its docstring."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "anything", type(None): "null"}
CHOICE = "Chooses these settings among those that may stand here."
BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def write_table(settings: type[BaseModel], left_out: tuple[str, ...] = ()) -> str:
    """Write the keys of a settings class as a Markdown table.

    Args:
        settings: The class; types that are settings themselves link to the heading of theirs.
        left_out: Keys that are described elsewhere.
    """
    texts = read_attributes(settings)
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in settings.model_fields.items():
        if name not in left_out:
            cells = (
                f"`{name}`",
                name_type(field.annotation, field),
                show_default(field),
                texts.get(name, CHOICE if name == "name" else ""),
            )
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def write_section(
    settings: type[BaseModel], level: int, title: str | None = None, left_out: tuple[str, ...] = ()
) -> str:
    """Write a heading with the class's name as anchor, its claim, and the table of its keys."""
    summary = "\n".join(read_summary(settings))
    heading = f"{'#' * level} {title or settings.__name__} {{#{settings.__name__}}}"
    return (
        f"{heading}\n\n{summary}\n\n{write_table(settings, left_out)}\n"
        if settings.model_fields
        else f"{heading}\n\n{summary}\n"
    )


def list_parts(settings: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Go through the settings classes that a class is made of, each once, in the order in which they are named."""
    seen: set[type[BaseModel]] = set()
    waiting = [settings]
    while waiting:
        current = waiting.pop(0)
        if current not in seen:
            seen.add(current)
            yield current
            for field in current.model_fields.values():
                waiting.extend(_list_models(field.annotation))


def read_summary(settings: type[BaseModel]) -> list[str]:
    """Return the paragraphs of a class's docstring before its attributes."""
    return (inspect.getdoc(settings) or "").partition("\nAttributes:")[0].strip().splitlines()


def read_attributes(settings: type[BaseModel]) -> dict[str, str]:
    """Return what the docstrings of a class and of those it inherits from say about each key."""
    texts: dict[str, str] = {}
    for base in reversed(settings.__mro__):
        section = inspect.cleandoc(base.__doc__ or "").partition("\nAttributes:\n")[2]
        name = ""
        for line in section.splitlines():
            entry = re.match(r"    (\w+(?:, \w+)*): (.*)", line)
            if entry:
                name = entry[1]
                texts.update(dict.fromkeys(name.split(", "), entry[2]))
            elif name and line.startswith("        "):
                texts.update({key: f"{texts[key]} {line.strip()}" for key in name.split(", ")})
            else:
                name = ""
    return texts


def name_type(annotation: Any, field: FieldInfo | None = None) -> str:
    """Name a type in words: `whole number ≥ 0`, `[TrainSettings](#TrainSettings)`, `list of text`."""
    return _name(annotation) + (_name_bounds(field.metadata) if field is not None else "")


def show_default(field: FieldInfo) -> str:
    """Write the default of a key as YAML has it; a key without one is required."""
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        name = getattr(value, "name", None)
        return f"`{{name: {name}}}`" if name else "its own"
    return f"`{_show(value)}`"


def _show(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_show, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _name(annotation: Any) -> str:
    if annotation in WORDS:
        return WORDS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _name(arguments[0]) + _name_bounds(arguments[1:])
    if origin is Literal:
        return " or ".join(f"`{_show(value)}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_name(part) for part in arguments))
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"list of {_name(arguments[0])}"
        return f"[{', '.join(map(_name, arguments))}]"
    if origin is dict:
        return f"mapping of {_name(arguments[0])} to {_name(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__})"
    return getattr(annotation, "__name__", str(annotation)).lower()


def _name_bounds(metadata: Any) -> str:
    texts = []
    for part in metadata:
        for bound in (part, *getattr(part, "metadata", ())):
            texts += [f" {sign} {_show(getattr(bound, key))}" for key, sign in BOUNDS.items() if hasattr(bound, key)]
    return ",".join(dict.fromkeys(texts))


def _list_models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _list_models(part)
