"""Which cells of a protocol are meant: all, those of some corruptions and severities, or one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from corruptions.catalog import SEVERITIES, check_severity, corruption
from corruptions.errors import CorruptionError, unknown_name
from corruptions.protocol import CHOICES, Cell, ChannelOrder, Protocol
from corruptions.protocol_file import find_protocol, parse_protocol


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


def select_cell(
    name: str,
    severity: int,
    protocol: str | Mapping[str, Any] | None = None,
    backend: str | None = None,
    channel_order: str | None = None,
) -> Protocol:
    """Find how one cell is made, as a protocol or its user has it: for a transform, which makes one.

    Args:
        name: A corruption of the catalogue.
        severity: 1 to 5.
        protocol: What the images are to follow: a protocol's name, the path of a YAML file or the mapping of such a file.
        backend: Implementation of the 19, one of `CHOICES`. None: the protocol's, or `fast` without one.
        channel_order: Order of the channels that the operation sees. None: the protocol's, or RGB without one.

    Returns:
        A protocol of that cell alone; its backend and channel order are those to pass to `corruptions.corrupt`.

    Raises:
        CorruptionError: A name is not known, the protocol is not as it should be, has no such cell, another backend or
            channel order, or corrupts after a resize: transforms take images as they were decoded.

    Example:
        >>> select_cell("fog", 3, "michaelis").backend
        'fast'
    """
    corruption(name)
    severity = check_severity(severity, name)
    if backend not in (None, *CHOICES):
        raise unknown_name("corruption backend", str(backend), CHOICES)
    if channel_order not in (None, *get_args(ChannelOrder)):
        raise unknown_name("channel order", str(channel_order), get_args(ChannelOrder))
    chosen: dict[str, Any] = {"backend": backend, "channel_order": channel_order}
    given = {key: value for key, value in chosen.items() if value is not None}
    if protocol is None:
        return replace(Protocol(f"{name} at {severity}", ((name, severity),)), **given)
    found = parse_protocol(protocol) if isinstance(protocol, Mapping) else find_protocol(protocol)
    if (name, severity) not in found.cells:
        raise CorruptionError(f"protocol {found.name!r} has no severity {severity} of {name}: leave the protocol out")
    for key, value in given.items():
        if value != getattr(found, key):
            raise CorruptionError(
                f"protocol {found.name!r} has the {key} {getattr(found, key)!r}, not {value!r}: leave one of them out"
            )
    if found.insertion_point != "before_resize":
        raise CorruptionError(
            f"protocol {found.name!r} corrupts images at the size that a network sees, and transforms take them as they were "
            "decoded: leave its `insertion_point` out"
        )
    return replace(found, cells=((name, severity),))


def _list(values: Iterable[object]) -> str:
    return ", ".join(str(value) for value in values)
