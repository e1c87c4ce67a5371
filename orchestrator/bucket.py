"""A bucket of an object store (S3, Google Cloud Storage, Azure Blob Storage): the few verbs that a store needs of it.

Writes are atomic and reads see the last write: all three services promise both. Conditional writes make leases and
commits safe: `create` fails where something is there, `replace` where it is no longer what was read.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from adapt.atomic import replace_atomically
from adapt.errors import PrerequisiteError
from adapt.hashing import hash_file

SCHEMES = ("s3", "gs", "az")
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")
# Ours. The first word with a bucket is said within 10 s, or the user is told so. Later requests outlive a gateway that
# restarts, and a slow line: "read" is the silence after which one is given up, well before a lease dies of it.
HASTY = {"connect": 3, "read": 6, "request": 6, "retry": 6, "retries": 2}
PATIENT = {"connect": 10, "read": 60, "request": 3600, "retry": 180, "retries": 10}
CHUNK_BYTES = 8 * 2**20  # of an upload in parts, `PARTS` at once
PARTS = 4
THREADS = 16  # transfers of small objects at once: each waits for the network most of the time
LISTED = 1000  # objects that a request lists: the most that S3 gives


@dataclass(frozen=True)
class Stamp:
    """Which content an object had when it was looked at.

    Attributes:
        name: of the object, relative to the bucket's prefix.
        e_tag: changes with the content.
        version: changes with every write, where the service counts them.
        modified: seconds since the epoch, by the clock of the service, in whole seconds on some.
        size_bytes: of the content.
    """

    name: str
    e_tag: str | None
    version: str | None
    modified: float
    size_bytes: int

    @property
    def condition(self) -> Any:
        """What a conditional write asks the object to be still."""
        asked = {"e_tag": self.e_tag, "version": self.version}
        return {name: value for name, value in asked.items() if value is not None}


class Bucket:
    """The objects under a URI.

    Args:
        uri: `s3://bucket/prefix`, `gs://...` or `az://...`; credentials and endpoint are those of the environment.
        is_hasty: gives up within seconds, for the first contact; else a request outlives an outage of minutes.

    Raises:
        PrerequisiteError: the URI names no bucket; and by every method: the bucket cannot be reached or refuses.
    """

    def __init__(self, uri: str, is_hasty: bool = False) -> None:
        import obstore.store

        self.uri = uri
        scheme = uri.partition("://")[0]
        if scheme not in SCHEMES:
            raise PrerequisiteError(
                f"the store {uri}: '{scheme}' is no kind of store. Give a folder, or a bucket as "
                f"{', '.join(f'{name}://BUCKET/PREFIX' for name in SCHEMES)}."
            )
        patience = HASTY if is_hasty else PATIENT
        endpoint = next((os.environ[name] for name in ENDPOINT_VARIABLES if os.environ.get(name)), "")
        with self._explaining():
            self._objects = obstore.store.from_url(
                uri,
                client_options={
                    "connect_timeout": f"{patience['connect']}s",
                    "read_timeout": f"{patience['read']}s",
                    "timeout": f"{patience['request']}s",
                    # Whoever names an http endpoint means it: a server of their own, most often on the same network.
                    "allow_http": endpoint.startswith("http://") or "AZURE_STORAGE_USE_EMULATOR" in os.environ,
                },
                retry_config={
                    "max_retries": patience["retries"],
                    "retry_timeout": datetime.timedelta(seconds=patience["retry"]),
                },
            )

    def read(self, name: str) -> tuple[bytes, Stamp] | None:
        """Return an object and its stamp, or None where there is none."""
        import obstore

        with self._explaining():
            try:
                found = obstore.get(self._objects, name)
                return bytes(found.bytes()), _stamp(name, found.meta)
            except FileNotFoundError as error:
                _require_bucket(error)
                return None

    def look(self, name: str) -> Stamp | None:
        """Return the stamp of an object, or None where there is none."""
        import obstore

        with self._explaining():
            try:
                return _stamp(name, obstore.head(self._objects, name))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes | Path | BinaryIO) -> None:
        """Write an object, in the place of one before it.

        Args:
            name: of the object.
            content: the bytes, or the file that has them; of an open file, what is behind the place that was read last.

        Raises:
            OSError: the file cannot be read.
        """
        import obstore

        opened: contextlib.AbstractContextManager[bytes | BinaryIO] = (
            content.open("rb") if isinstance(content, Path) else contextlib.nullcontext(content)
        )
        with opened as body, self._explaining():  # a file that is missing is no missing bucket
            obstore.put(self._objects, name, body, chunk_size=CHUNK_BYTES, max_concurrency=PARTS)

    def create(self, name: str, content: bytes) -> bool:
        """Write an object that must not exist yet; False where another wrote it. Of several callers one succeeds."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._explaining():
            try:
                obstore.put(self._objects, name, content, mode="create", use_multipart=False)
                return True
            except AlreadyExistsError:
                # A request whose answer was lost is sent again, and then meets its own success.
                return self._holds(name, content)

    def replace(self, stamp: Stamp, content: bytes) -> bool:
        """Write over what a stamp was taken of; False where it has changed or gone since."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._explaining():
            try:
                obstore.put(self._objects, stamp.name, content, mode=stamp.condition, use_multipart=False)
                return True
            except (PreconditionError, AlreadyExistsError):
                return self._holds(stamp.name, content)
            except FileNotFoundError as error:
                _require_bucket(error)
                return False

    def _holds(self, name: str, content: bytes) -> bool:
        found = self.read(name)
        return found is not None and found[0] == content

    def download(self, name: str, file: Path) -> bool:
        """Write an object's bytes into a file; False where there is no such object."""
        import obstore

        with self._explaining():
            try:
                found = obstore.get(self._objects, name)
            except FileNotFoundError as error:
                _require_bucket(error)
                return False
        with file.open("wb") as output, self._explaining():
            for chunk in found.stream():
                output.write(chunk)
        return True

    def fetch(self, name: str, file: Path, sha256: str) -> bool:
        """Put an object's bytes at a place on this machine; False, and nothing there is changed, where they are others."""
        with contextlib.suppress(_DamagedError), replace_atomically(file) as draft:
            if not self.download(name, draft) or hash_file(draft) != sha256:
                raise _DamagedError
            return True
        return False

    def list(self, folder: str) -> Iterator[Stamp]:
        """Go through all objects below a folder, such as `records`."""
        import obstore

        with self._explaining():
            for chunk in obstore.list(self._objects, folder, chunk_size=LISTED):
                for meta in chunk:
                    yield _stamp(meta["path"], meta)

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects; one that is gone already is no error."""
        import obstore

        names = list(names)
        with self._explaining(), contextlib.suppress(FileNotFoundError):
            if names:
                obstore.delete(self._objects, names)

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except BaseError as error:
            raise PrerequisiteError(self._explain(error)) from error
        except FileNotFoundError as error:  # of a write or a listing: there is no bucket to write to
            raise PrerequisiteError(self._explain(error)) from error

    def _explain(self, error: Exception) -> str:
        text = str(error).partition("\n\nDebug source")[0]
        cause = " ".join(text.split())[:300]
        scheme = self.uri.partition("://")[0]
        if "NoSuchBucket" in text or isinstance(error, FileNotFoundError):
            return (
                f"the store {self.uri}: there is no such bucket. Make it, or correct the URI (--store, SEGSHIFT_STORE)."
            )
        if any(sign in text for sign in _NO_CREDENTIALS):
            return f"the store {self.uri}: no credentials were found ({cause}). {_CREDENTIALS[scheme]}"
        if _REFUSED.search(text):
            return (
                f"the store {self.uri} refuses these credentials ({cause}). They must be allowed to read, write, list "
                f"and delete there. {_CREDENTIALS[scheme]}"
            )
        return (
            f"the store {self.uri} cannot be used ({cause}). Check the network, the URI, and for a server of your own "
            "AWS_ENDPOINT_URL and AWS_REGION."
        )


# Without credentials the client asks the machine for those of its role, at these paths; Azure wants an account first.
_NO_CREDENTIALS = ("/latest/api/token", "/latest/meta-data", "computeMetadata", "/metadata/identity", "Account must be")
# What the client writes before a status, and the names that S3 gives: a number alone may be part of an object's name.
_REFUSED = re.compile(r"status code: 40[13]\b|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch")
_CREDENTIALS = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN too where they are temporary), or run where "
    "the machine has a role.",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run `gcloud auth application-default login`.",
    "az": "Set AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN.",
}


class _DamagedError(Exception):
    """What came from the bucket is not what was recorded; nothing of it is kept."""


def _require_bucket(error: FileNotFoundError) -> None:
    """Raise again what tells that the whole bucket is missing, and not the object alone."""
    if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
        raise error


def _stamp(name: str, meta: Any) -> Stamp:
    return Stamp(name, meta["e_tag"], meta["version"], meta["last_modified"].timestamp(), meta["size"])


def run_at_once(function: Any, items: Iterable[Any]) -> list[Any]:
    """Call a function that waits for the network on many things, some at once; the first error is raised."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(function, items))
