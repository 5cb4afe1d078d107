"""An object store that speaks S3's protocol: what lies in a folder, and an object as it was listed.

What belongs here: the two requests, and their failures as one sentence. What does not: what the
bytes mean, and where they are kept (usage_files.py).

Needs the packages of ``requirements-s3.txt``. Addresses, regions and credentials are found as every
tool of Amazon's finds them: the environment, ``~/.aws``, the machine's role.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

# DuckDB and others call Google's S3-compatible API by the scheme of Google's own.
_ENDPOINTS = {"s3": None, "gs": "https://storage.googleapis.com"}

# Requests are repeated by the SDK; a body that breaks off in the middle is not.
_FETCH_ATTEMPTS = 3
# The sensor of late files has a minute for all months: a store that is away must be said to be.
_CONNECT_SECONDS, _READ_SECONDS = 5, 30

_REASONS = {
    "PreconditionFailed": "was replaced after its folder was listed; run again",
    "NoSuchKey": "is gone, and was there when its folder was listed; run again",
}


class StoreError(OSError):
    """The store did not give what was asked for; the message names it and says why."""


class StoredObject(NamedTuple):
    """An object, or what objects with a common prefix look like: a folder. The store gives every
    content an `etag` of its own."""

    name: str
    is_folder: bool
    size: int
    etag: str


class ObjectStore:
    """Objects by their addresses, ``s3://bucket/key``. Raises `StoreError`."""

    def __init__(self, scheme: str) -> None:
        try:
            import boto3
            from botocore.config import Config
        except ImportError as error:
            raise StoreError(
                f"{scheme}:// needs the packages of requirements-s3.txt: docs/production.md"
            ) from error
        with _saying(f"{scheme}://"):
            self._client: Any = boto3.client(
                "s3",
                endpoint_url=_ENDPOINTS[scheme],
                config=Config(
                    retries={"mode": "standard", "total_max_attempts": 3},
                    connect_timeout=_CONNECT_SECONDS,
                    read_timeout=_READ_SECONDS,
                ),
            )

    @property
    def endpoint(self) -> str:
        return str(self._client.meta.endpoint_url)

    def listed(self, folder: str) -> list[StoredObject]:
        """What lies directly in a folder; nothing where no object begins with its name."""
        bucket, prefix = _parts(folder + "/")
        found = []
        with _saying(folder):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix, Delimiter="/"
            )
            for page in pages:
                for item in page.get("CommonPrefixes", ()):
                    name = item["Prefix"][len(prefix) : -1]
                    found.append(StoredObject(name, True, 0, ""))
                for item in page.get("Contents", ()):
                    name = item["Key"][len(prefix) :]
                    if name or item["Size"]:  # consoles make folders as empty objects
                        found.append(StoredObject(name, False, item["Size"], item["ETag"]))
        return found

    def fetch(self, address: str, etag: str, target: IO[bytes]) -> None:
        """Write the object to `target`, whole and with the content that was listed, or raise."""
        for attempt in range(1, _FETCH_ATTEMPTS + 1):
            target.seek(0)
            target.truncate()
            try:
                self._fetch(address, etag, target)
            except _BrokenOffError:
                if attempt == _FETCH_ATTEMPTS:
                    raise
            else:
                return

    def _fetch(self, address: str, etag: str, target: IO[bytes]) -> None:
        bucket, key = _parts(address)
        with _saying(address):
            body = self._client.get_object(Bucket=bucket, Key=key, IfMatch=etag)["Body"]
        with _saying(f"{address} broke off", _BrokenOffError):
            shutil.copyfileobj(body, target)


class _BrokenOffError(StoreError):
    """The answer had begun and did not arrive whole."""


def _parts(address: str) -> tuple[str, str]:
    """Bucket and key. By hand: a key may hold whatever has a meaning in other addresses."""
    bucket, _, key = address.split("://", 1)[1].partition("/")
    return bucket, key


@contextmanager
def _saying(what: str, kind: type[StoreError] = StoreError) -> Iterator[None]:
    """Failures of the SDK as a `StoreError`: what they happened to, and why."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        said = error.response["Error"]
        code = said["Code"]
        reason = _REASONS.get(code) or f"{said.get('Message') or 'refused'} ({code})"
        raise kind(f"{what}: {reason}") from error
    except (BotoCoreError, HTTPError, ValueError) as error:
        raise kind(f"{what}: {error}") from error
