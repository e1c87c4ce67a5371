"""The catalogue as text to read: corruptions with their constants, and the cells of the protocols."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator

from corruptions.catalog import CORRUPTIONS, SEVERITIES, WEATHER, Corruption
from corruptions.protocol import PROTOCOLS, Protocol

WIDTH = 120  # characters
_ROW = "{:<18} {:<8} {:<6} {:<42}" + " {:>7}" * len(SEVERITIES)


def format_corruptions() -> str:
    """Format every corruption: family, whether it moves pixels, and each constant at each severity, source by source."""
    lines = [_format_row("corruption", "family", "pixels", "constant", *(f"{level}" for level in SEVERITIES))]
    for source, rows in itertools.groupby((*CORRUPTIONS.values(), *WEATHER.values()), lambda row: row.source):
        lines += ["", *textwrap.wrap(source, WIDTH)]
        for row in rows:
            lines += _format_corruption(row)
    return "\n".join(lines)


def format_protocols() -> str:
    """Format the cells of every protocol: corruptions, and the severities of each."""
    lines = []
    for protocol in PROTOCOLS.values():
        title = f"{protocol.name:<14} {len(protocol.cells):>3} cells  "
        lines += textwrap.wrap(
            "; ".join(_group_cells(protocol)), WIDTH, initial_indent=title, subsequent_indent=" " * len(title)
        )
    return "\n".join(lines)


def _format_corruption(row: Corruption) -> Iterator[str]:
    moves = "move" if row.moves_pixels else "stay"
    for index, parameter in enumerate(row.parameters):
        values = [f"{constants[index]:g}" for constants in row.constants]
        yield _format_row(*((row.name, row.family, moves) if index == 0 else ("", "", "")), parameter, *values)


def _format_row(*texts: str) -> str:
    return _ROW.format(*texts)


def _group_cells(protocol: Protocol) -> Iterator[str]:
    """Yield "fog, frost at 1,2,3": corruptions that follow each other and have the same severities."""
    severities: dict[str, str] = {}
    for name, severity in protocol.cells:
        severities[name] = f"{severities[name]},{severity}" if name in severities else str(severity)
    for levels, names in itertools.groupby(severities, lambda name: severities[name]):
        yield f"{', '.join(names)} at {levels}"
