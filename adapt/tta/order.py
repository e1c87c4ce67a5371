"""In which order the domains and frames of a stream come, by its kind.

What is drawn is drawn by BLAKE2b (RFC 7693) of the stream's seed and of names: the same on every machine and with every
version of Python and numpy. `random.Random(seed).shuffle` is not: Python promises the same sequence of its `random()`
alone, and numpy promises none of `Generator`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from adapt.tta.stream_settings import DomainSettings, StreamSettings
from corruptions.catalog import SEVERITIES

_SEPARATOR = "\0"  # in no name, so that no two lists of parts join to the same text


@dataclass(frozen=True)
class Visit:
    """One frame of one domain, at one place of the order.

    Attributes:
        round: from 0.
        label: of the domain, severity and way included.
        domain: its settings.
        severity: of its corruption.
        frame: the frame's name.
    """

    round: int
    label: str
    domain: DomainSettings
    severity: int | None
    frame: str


def list_visits(settings: StreamSettings, names: Mapping[str, Sequence[str]]) -> list[Visit]:
    """List the frames of a stream in the order in which they come.

    Args:
        settings: the stream.
        names: label of a domain -> the names of its frames, at least one, in their own order.

    Returns:
        Every visit; a frame comes once for each round (and each severity of a gradual stream) unless `run_length` says
        otherwise.
    """
    if settings.kind == "cdc":
        return list(_draw_runs(settings, names))
    if settings.kind == "mixed":
        visits = [_visit(0, domain, name) for domain in settings.domains for name in names[domain.label]]
        return sorted(visits, key=lambda visit: _digest(settings.seed, "mixed", visit.label, visit.frame))
    walk = _walk_severities if settings.kind == "gradual" else _walk_domain
    return [
        visit
        for round_ in range(settings.rounds)
        for domain in settings.domains
        for visit in walk(round_, domain, _choose_run(names[domain.label], round_, settings.run_length))
    ]


def _walk_domain(round_: int, domain: DomainSettings, names: Sequence[str]) -> Iterator[Visit]:
    return (_visit(round_, domain, name) for name in names)


def _walk_severities(round_: int, domain: DomainSettings, names: Sequence[str]) -> Iterator[Visit]:
    """Go through all frames at each severity, up to the strongest and down again; the strongest comes once."""
    up = [(severity, "up") for severity in SEVERITIES]
    down = [(severity, "down") for severity in SEVERITIES[-2::-1]]
    for severity, way in up + down:
        for name in names:
            yield Visit(round_, f"{domain.label}/{severity}/{way}", domain, severity, name)


def _choose_run(names: Sequence[str], round_: int, length: int | None) -> Sequence[str]:
    """Choose the frames of one round: all, or the next `length` of them, beginning anew after the last."""
    if length is None:
        return names
    return [names[(round_ * length + place) % len(names)] for place in range(length)]


def _draw_runs(settings: StreamSettings, names: Mapping[str, Sequence[str]]) -> Iterator[Visit]:
    """Draw a domain, another than the last while there is one, and how many of its next frames come."""
    left = {domain.label: list(names[domain.label]) for domain in settings.domains}
    domains = {domain.label: domain for domain in settings.domains}
    last = ""
    run = 0
    while left:
        labels = [label for label in left if label != last] or list(left)
        last = labels[_draw(len(labels), settings.seed, "cdc domain", run)]
        frames = left[last]
        longest = len(frames) if settings.run_length is None else min(settings.run_length, len(frames))
        length = 1 + _draw(longest, settings.seed, "cdc length", run)
        yield from _walk_domain(0, domains[last], frames[:length])
        del frames[:length]
        if not frames:
            del left[last]
        run += 1


def _visit(round_: int, domain: DomainSettings, name: str) -> Visit:
    return Visit(round_, domain.label, domain, domain.severity, name)


def _draw(choices: int, *parts: object) -> int:
    """Draw from 0..choices-1; the bias of the remainder is below choices / 2**64."""
    return int.from_bytes(_digest(*parts)[:8], "little") % choices


def _digest(*parts: object) -> bytes:
    return hashlib.blake2b(_SEPARATOR.join(map(str, parts)).encode("utf-8"), digest_size=16).digest()
