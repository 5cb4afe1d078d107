"""The encoding of requests and answers: form bodies to nested values, answers to bytes.

What does not belong here: which parameters exist (`validation.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from billing_pipeline.stripe_sandbox.errors import InvalidParamsError

Json = dict[str, Any]

_NAME = re.compile(r"[^\[\]]+(?:\[[^\[\]]*\])*")
_FREE_FORM = ("metadata", "invoice_metadata")
"""Hashes whose keys the caller chooses, so that they are never list indexes."""
_MAX_PARAMS = 20_000


@dataclass(frozen=True)
class Response:
    """An answer: `headers` as sent, `body` is JSON."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Json:
        loaded: Json = json.loads(self.body)
        return loaded


def decode_form(text: str) -> Json:
    """Decode ``a[0][b]=c`` to ``{"a": [{"b": "c"}]}``; all values are text."""
    tree: Json = {}
    pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_PARAMS)
    for name, value in pairs:
        if not _NAME.fullmatch(name):
            raise InvalidParamsError(f"Invalid parameter name: {name[:100]}", param=name[:100])
        _put(tree, [part.rstrip("]") for part in name.split("[")], value)
    return {name: _as_list(name, value) for name, value in tree.items()}


def _put(tree: Json, path: list[str], value: str) -> None:
    place = tree
    for at, part in enumerate(path):
        part = part or str(len(place))
        if at == len(path) - 1:
            place[part] = value
            return
        inner = place.setdefault(part, {})
        if not isinstance(inner, dict):
            raise InvalidParamsError(f"Invalid hash: {part}", param=path[0])
        place = inner


def _as_list(name: str, value: Any) -> Any:
    if not isinstance(value, dict) or name in _FREE_FORM:
        return value
    if value and all(key.isdecimal() for key in value):
        return [_as_list("", value[key]) for key in sorted(value, key=int)]
    return {key: _as_list(key, inner) for key, inner in value.items()}


def encode(body: Json) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
