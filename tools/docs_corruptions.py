"""The reference of corruptions: their constants at every severity, and the cells of the protocols."""

from __future__ import annotations

from corruptions.catalog import CORRUPTIONS, SEVERITIES, WEATHER, Corruption
from corruptions.protocol import PROTOCOLS, Protocol
from corruptions.protocol_file import describe

HEAD = """\
# Corruptions and protocols

Made from `corruptions.catalog` and `corruptions.protocol`. How to write corrupted copies, and a protocol of your own:
[Corrupt images](../corruptions.md).
"""


def write_page() -> str:
    """Return the page."""
    rows = (*CORRUPTIONS.values(), *WEATHER.values())
    families = dict.fromkeys(row.family for row in rows)
    sections = [HEAD, "## Protocols\n", _write_protocols()]
    for family in families:
        sections.append(f"## Family: {family}\n")
        sections += [write_corruption(row) for row in rows if row.family == family]
    return "\n".join(sections)


def write_corruption(row: Corruption) -> str:
    """Write one corruption with the table of its constants."""
    lines = [f"### {row.name}\n", f"Source: {row.source}.", ""]
    if row.moves_pixels:
        lines += ["Moves pixels while labels stay: left out of `mPC fixed pixels`.", ""]
    lines += [f"| constant | {' | '.join(f'severity {severity}' for severity in SEVERITIES)} |", "|---" * 6 + "|"]
    for index, name in enumerate(row.parameters):
        lines.append(f"| {name} | {' | '.join(f'{values[index]:g}' for values in row.constants)} |")
    return "\n".join(lines) + "\n"


def _write_protocols() -> str:
    lines = ["| protocol | cells | corruptions: severities |", "|---|---:|---|"]
    for protocol in PROTOCOLS.values():
        lines.append(f"| `{protocol.name}` | {len(protocol.cells)} | {_list_cells(protocol)} |")
    return "\n".join(lines) + "\n"


def _list_cells(protocol: Protocol) -> str:
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, severities in describe(protocol)["cells"].items():
        groups.setdefault(tuple(severities), []).append(f"`{name}`")
    return "; ".join(f"{', '.join(names)}: {', '.join(map(str, severities))}" for severities, names in groups.items())
