"""How this project writes docstrings, for mkdocstrings: `Example:` holds doctests, and `Paper:` and the like are facts."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

FACTS = ("Paper", "Implements", "Checked against", "Deviations", "Protocol")
_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
_FACT = re.compile(rf"^({'|'.join(FACTS)}): ", re.MULTILINE)


class ProjectDocstrings(griffe.Extension):
    """Rewrites docstrings as griffe's Google parser wants them: it takes other titles for admonitions."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = rewrite(obj.docstring.value)


def rewrite(text: str) -> str:
    """Make `Example:` a section of doctests, and the lines of facts a list."""
    text = _EXAMPLE.sub("Examples:", text)
    before, found, bare = text.partition("\n\n>>> ")
    if found and "Examples:" not in before:  # doctests without a title, at the end
        text = f"{before}\n\nExamples:\n{textwrap.indent(f'>>> {bare}', '    ')}"
    return _FACT.sub(r"- **\1**: ", text)
