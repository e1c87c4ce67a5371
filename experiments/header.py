"""The comment that opens an experiment's file: its question, command, cost and expected result."""

from __future__ import annotations

import re

from experiments.load import find_experiment

_ENTRY = re.compile(r"#\s?([A-Z][A-Za-z ]{0,30}):\s+(.*)")


def read_header(name_or_path: str) -> dict[str, str]:
    """Return what the comment at the top of an experiment's file says, by the words that open its entries.

    Args:
        name_or_path: of the experiment.

    Returns:
        Such as {"Question": "how far ...", "Command": ..., "Cost": ..., "Expected": ...}; lines that continue an entry
        belong to it. Empty where the file opens otherwise.

    Raises:
        SpecError: there is no such experiment.
    """
    entries: dict[str, str] = {}
    last: str | None = None
    for line in find_experiment(name_or_path).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        found = _ENTRY.fullmatch(line.rstrip())
        if found is not None:
            last = found[1]
            entries[last] = found[2].strip()
        elif last is not None:
            entries[last] = f"{entries[last]} {line.lstrip('# ').rstrip()}".strip()
    return entries
