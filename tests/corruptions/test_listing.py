"""The catalogue as text: everything in it, legible on a terminal."""

from __future__ import annotations

import re

from corruptions import CORRUPTIONS, PROTOCOLS, WEATHER
from corruptions.listing import WIDTH, format_corruptions, format_protocols


def test_every_corruption_stands_there_with_all_its_constants() -> None:
    lines = format_corruptions().splitlines()
    assert max(map(len, lines)) <= WIDTH
    for row in (*CORRUPTIONS.values(), *WEATHER.values()):
        first = next(index for index, line in enumerate(lines) if line.startswith(f"{row.name} "))
        assert lines[first].split()[1:3] == [row.family, "move" if row.moves_pixels else "stay"]
        for index, parameter in enumerate(row.parameters):
            name, values = lines[first + index].split(parameter)
            assert name.strip() == ("" if index else lines[first].split(parameter)[0].strip())
            assert [float(value) for value in values.split()] == [round(c[index], 6) for c in row.constants]
        assert any(row.source.startswith(line) for line in lines[:first] if line)


def test_protocols_stand_there_with_their_cells() -> None:
    lines = format_protocols().splitlines()
    assert max(map(len, lines)) <= WIDTH
    blocks = re.split(r"\n(?=\w)", format_protocols())
    for protocol, block in zip(PROTOCOLS.values(), blocks, strict=True):
        title, groups = " ".join(block.split()).split(" cells ")
        assert title == f"{protocol.name} {len(protocol.cells)}"
        found = set()
        for group in groups.split("; "):
            names, levels = group.split(" at ")
            found |= {(name, int(level)) for name in names.split(", ") for level in levels.split(",")}
        assert found == set(protocol.cells)
