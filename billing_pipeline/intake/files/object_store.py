"""An object store of Amazon, Google or Azure: listing a folder, and fetching an object as listed.

What belongs here: the two requests, and their failures as one sentence. What does not: what the
bytes mean, and where they are saved (usage_files.py).

Accounts, addresses and credentials are those of the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`) or
the machine's role: docs/production.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import IO, TYPE_CHECKING, NamedTuple

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import from_url

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

# The sensor of late files has one minute for all months, so a store that is down must be reported
# in time. Requests are retried, and an interrupted answer is resumed.
_CLIENT: ClientConfig = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=30),
    "timeout": timedelta(hours=1),  # of an object as a whole; they may be large
    "allow_http": True,  # if the environment names such an address
}
_RETRIES: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=60)}

_ROLE_ADDRESSES = ("169.254.169.254", "metadata.google.internal")
_STORE_ERROR = re.compile("<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", re.DOTALL)


class StoreError(OSError):
    """The store did not return what was requested; the message names it and says why."""


class StoredObject(NamedTuple):
    """An object, or a folder, which is the common prefix of objects. The `etag` changes with the
    content."""

    name: str
    is_folder: bool
    size: int
    etag: str


class ObjectStore:
    """The objects of the bucket (Azure: the container) in an address such as ``s3://bucket/key``;
    each is requested by its full address. Raises `StoreError`."""

    def __init__(self, address: str) -> None:
        self._bucket = "/".join(address.split("/", 3)[:3])
        with _explaining(self._bucket):
            self._store = from_url(self._bucket, client_options=_CLIENT, retry_config=_RETRIES)

    def listed(self, folder: str) -> list[StoredObject]:
        """What is directly in a folder; nothing if no object's name begins with the folder's."""
        key = self._key(folder)
        prefix = f"{key}/" if key else ""
        with _explaining(folder):
            found = obstore.list_with_delimiter(self._store, prefix)
        folders = [
            StoredObject(path[len(prefix) :], True, 0, "") for path in found["common_prefixes"]
        ]
        return folders + [
            StoredObject(item["path"][len(prefix) :], False, item["size"], str(item["e_tag"]))
            for item in found["objects"]
            if item["path"] != prefix[:-1]  # consoles create folders as empty objects
        ]

    def fetch(self, address: str, etag: str, target: IO[bytes]) -> None:
        """Write the object to `target`, complete and with the listed content, or raise."""
        with _explaining(address):
            answer = obstore.get(self._store, self._key(address), options={"if_match": etag})
        with _explaining(f"{address} broke off"):
            for chunk in answer:
                target.write(chunk)

    def _key(self, address: str) -> str:
        """The key, split off by hand because it may contain characters that are special in URLs."""
        return address[len(self._bucket) + 1 :]


@contextmanager
def _explaining(what: str) -> Iterator[None]:
    """Turn failures into a `StoreError` that says what failed and why. Nothing else of the failure
    is shown, because it contains the address of the request, which on Azure may be signed."""
    try:
        yield
    except PreconditionError:
        reason = "was replaced after its folder was listed; run again"
    except FileNotFoundError:
        reason = "is gone, and was there when its folder was listed; run again"
    except BaseError as error:
        reason = _reason(str(error).partition("\n\nDebug source")[0])
    else:
        return
    raise StoreError(f"{what}: {reason}") from None


def _reason(text: str) -> str:
    error = _STORE_ERROR.search(text)
    if error is not None:
        return f"{error[2]} ({error[1]})"
    if any(address in text for address in _ROLE_ADDRESSES):
        return "no credentials in the environment, and this machine has no role that gives any"
    return " ".join(re.sub(r"\?\S*", "", text).split())
