"""Which cells of a protocol are meant: all, or those of some corruptions and severities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from corruptions.catalog import SEVERITIES, corruption
from corruptions.errors import CorruptionError
from corruptions.protocol import Cell, Protocol


def select_cells(protocol: Protocol, only: Sequence[str] = (), severities: Sequence[int] = ()) -> tuple[Cell, ...]:
    """Select cells of a protocol.

    Args:
        protocol: The protocol.
        only: Names of corruptions; none means all.
        severities: 1 to 5; none means all.

    Returns:
        The cells of these corruptions at these severities, in the order of the protocol.

    Raises:
        CorruptionError: If a name or a severity does not exist or is not the protocol's, or if no cell is left.

    Example:
        >>> from corruptions.protocol import protocol
        >>> select_cells(protocol("segformer"), only=["fog"], severities=[1, 5])
        (('fog', 1), ('fog', 5))
    """
    for severity in severities:
        if severity not in SEVERITIES:
            raise CorruptionError(f"severity {severity!r} does not exist: severities are {_list(SEVERITIES)}")
    names = dict.fromkeys(name for name, _ in protocol.cells)
    for name in only:
        corruption(name)
        if name not in names:
            raise CorruptionError(f"{name!r} is not in protocol {protocol.name!r}, which has {_list(names)}")
    cells = tuple(
        (name, severity)
        for name, severity in protocol.cells
        if (not only or name in only) and (not severities or severity in severities)
    )
    if not cells:
        levels = {severity for name, severity in protocol.cells if not only or name in only}
        raise CorruptionError(
            f"protocol {protocol.name!r} has {_list(only) or 'its corruptions'} at severity {_list(sorted(levels))} only, not "
            f"at {_list(severities)}"
        )
    return cells


def _list(values: Iterable[object]) -> str:
    return ", ".join(str(value) for value in values)
