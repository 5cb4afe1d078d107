"""An object store on this machine: moto's S3 over HTTP, whose answers a test can change.

What belongs here: starting it, putting objects into it, and making it fail. What does not:
expectations on its readers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen
from wsgiref.types import StartResponse, WSGIEnvironment

import boto3
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

BUCKET = "usage-of-ours"
# What `BILLING_DATA_DIR` is.
ROOT = f"s3://{BUCKET}/billing"
_OBJECTS = f"/{BUCKET}/billing/"


class LocalStore:
    """One bucket. `fetched` are the names of the objects that were asked for; `before_fetch` is
    called with a name before it is answered; the next `cut_answers` break off in the middle."""

    def __init__(self) -> None:
        self._application = DomainDispatcherApplication(create_backend_app)
        self.address = ""
        self.reset()

    def reset(self) -> None:
        self.before_fetch: Callable[[str], None] = lambda name: None
        self.cut_answers = 0
        self.is_refusing = False
        self.fetched: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        """The environment that a process needs to reach it."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "ours",
            "AWS_SECRET_ACCESS_KEY": "s3cret-word",
            "AWS_DEFAULT_REGION": "eu-central-1",
        }

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"].encode("latin-1").decode()
        if environ["REQUEST_METHOD"] != "GET" or not path.startswith(_OBJECTS):
            return self._application(environ, start)
        name = path.removeprefix(_OBJECTS)
        self.fetched.append(name)
        self.before_fetch(name)
        if self.is_refusing:
            start("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]
        body = b"".join(self._application(environ, start))
        if self.cut_answers:
            self.cut_answers -= 1
            body = body[: len(body) // 2]
        return [body]

    def put(self, name: str, content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else content
        self._client.put_object(Bucket=BUCKET, Key=f"billing/{name}", Body=data)

    def delete(self, name: str) -> None:
        self._client.delete_object(Bucket=BUCKET, Key=f"billing/{name}")

    def upload(self, folder: Path) -> None:
        """The files of a data directory, and nothing else in the bucket."""
        self.empty()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(path.relative_to(folder).as_posix(), path.read_bytes())

    def empty(self) -> None:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            keys = [{"Key": item["Key"]} for item in page.get("Contents", ())]
            if keys:
                self._client.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})

    @property
    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.address,
            region_name="eu-central-1",
            aws_access_key_id="ours",
            aws_secret_access_key="s3cret-word",
        )

    def make_bucket(self) -> None:
        # moto keeps its buckets in the process, whichever server made them
        with urlopen(Request(f"{self.address}/moto-api/reset", method="POST")):
            pass
        place = {"LocationConstraint": "eu-central-1"}
        self._client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)


@contextmanager
def local_store() -> Iterator[LocalStore]:
    """A store that is running, with its bucket, until the end."""
    store = LocalStore()
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=MotoRequestHandler)
    store.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        store.make_bucket()
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
