"""Whether all that a store holds is as it was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from adapt.errors import PrerequisiteError
from orchestrator.store import Store


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong.

    Attributes:
        key: of the task.
        what: is wrong, in a sentence without its end.
        remedy: what to do, in a sentence without its end.
    """

    key: str
    what: str
    remedy: str


def verify(store: Store) -> Iterator[Damage]:
    """Read every record and every file of a store, where the truth is kept, and yield what is wrong.

    Reading a file of a bucket downloads it.
    """
    done = store.list_done()
    store.fetch_records(done)
    for key in sorted(done):
        try:
            record = store.read(key)
        except PrerequisiteError:
            yield Damage(key, "its record cannot be read", store.explain_removal(key))
            continue
        for name in record.files:
            wrong = store.check_file(key, name)
            if wrong is not None:
                yield Damage(key, f"{record.stage}, {name}: {wrong}", store.explain_removal(key))
        for role, needed in record.inputs.items():
            if needed not in done:
                remedy = f"Run {record.experiment} again: the sweep makes {needed[:12]} anew"
                yield Damage(key, f"{record.stage}: its input '{role}', the task {needed[:12]}, is not there", remedy)
