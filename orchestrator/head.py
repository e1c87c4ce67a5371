"""Whether the head of a cluster still listens: Ray itself says nothing for a minute and then ends the process."""

from __future__ import annotations

import socket
import time

from adapt.errors import PrerequisiteError

SILENT_S = 10.0  # ours: of no answer before the head is looked for; a busy head answers more slowly than a dead one
PROBE_S = 5.0
PATIENCE_S = (
    20.0  # ours: of refusals, before it is lost: a control service that starts anew, or a network that blinks, is not
)


class HeadLostError(PrerequisiteError):
    """The head of the cluster is gone: nothing can be asked of Ray any more."""


class HeadWatch:
    """Watches over answers from the head's machine.

    Args:
        address: `HOST:PORT` of the cluster's control service.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._answered = time.monotonic()

    def hear(self) -> None:
        """Note an answer."""
        self._answered = time.monotonic()

    def check(self) -> None:
        """Look for the head after a silence.

        Raises:
            HeadLostError: nothing listens there any more.
        """
        if time.monotonic() - self._answered > SILENT_S:
            self.require()

    def require(self) -> None:
        """Look for the head now: before a question to Ray that has no time limit.

        Raises:
            HeadLostError: nothing listens there any more.
        """
        host, _, port = self._address.rpartition(":")
        until = time.monotonic() + PATIENCE_S
        while (error := _probe(host, int(port))) is not None and time.monotonic() < until:
            time.sleep(1.0)
        if error is not None:
            raise HeadLostError(
                f"the head of the Ray cluster at {self._address} no longer answers ({error}). All that is finished is in the "
                "store: start a cluster again and give the same command (with its --address); it goes on from there."
            ) from error
        self.hear()


def _probe(host: str, port: int) -> OSError | None:
    """Return why nobody listens there, or None."""
    try:
        socket.create_connection((host, port), PROBE_S).close()
    except OSError as error:
        return error
    return None
