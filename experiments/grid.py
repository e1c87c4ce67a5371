"""The grid of a benchmark: a protocol by name, from a file of one's own, or written out in the experiment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapt.errors import SpecError
from corruptions.catalog import CORRUPTIONS, WEATHER
from corruptions.protocol import Protocol, protocol
from corruptions.protocol_file import describe, is_protocol_file, parse_protocol, read_protocol
from experiments.schema import BenchmarkStage


def write_out(value: Any, folder: Path) -> Any:
    """Put a protocol's content in the place of its file, so that a task holds all that decides its pixels.

    Args:
        value: of the key `protocol`.
        folder: where the experiment file lies; a relative path counts from there, else from the current folder.

    Returns:
        The content of the file as the mapping that it holds; anything else as it is.

    Raises:
        SpecError: the file does not exist.
        CorruptionError: the file holds no protocol; the text names file, line and key.
    """
    if not isinstance(value, str) or not is_protocol_file(value):
        return value
    places = dict.fromkeys(((folder / value).absolute(), Path(value).absolute()))
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise SpecError(f"the protocol file is nowhere: looked for {' and '.join(map(str, places))}. Correct the path.")
    return describe(read_protocol(file))


def find_grid(stage: BenchmarkStage) -> Protocol:
    """Return the protocol of a benchmark, with the backend that it chooses.

    Raises:
        CorruptionError: no protocol has that name, or the one that is written out is not as it should be.
    """
    value = stage.protocol
    found = parse_protocol(value) if isinstance(value, Mapping) else protocol(value)
    return found if stage.backend is None else found.with_backend(stage.backend)


def list_canonical_cells(found: Protocol) -> list[list[str | int]]:
    """List the cells of a protocol in the catalogue's order: the order in which a file has them decides no number."""
    order = [*CORRUPTIONS, *WEATHER]
    return [list(cell) for cell in sorted(found.cells, key=lambda cell: (order.index(cell[0]), cell[1]))]


def name_grid(stage: BenchmarkStage) -> str:
    """Return the name of the protocol of a benchmark."""
    return str(stage.protocol["name"]) if isinstance(stage.protocol, Mapping) else stage.protocol
