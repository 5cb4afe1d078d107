"""Checks an answer against the resource classes that Stripe publishes in its SDK.

What belongs here: walking a value and its type side by side. What does not: requests.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from typing import Any

import stripe
from stripe._object_classes import OBJECT_CLASSES, get_object_class
from stripe._stripe_object import UntypedStripeObject

Json = dict[str, Any]

_OTHERS: dict[str, Any] = {
    "list": stripe.ListObject[Any],
    "search_result": stripe.SearchResultObject[Any],
}
_PAGES = (stripe.ListObject, stripe.SearchResultObject)
_BY_NAME = {
    name: get_object_class("V1", kind)
    for kind, (module, name) in OBJECT_CLASSES.items()
    if kind not in ("list", "search_result")
}
ERROR_CODES = frozenset(
    value
    for part in typing.get_args(stripe.Invoice.LastFinalizationError.__annotations__["code"])
    for value in typing.get_args(part)
)


def problems(answer: Json) -> list[str]:
    """What is wrong with an object, page or deletion, each with its path."""
    name = str(answer.get("object"))
    if answer.get("deleted"):
        extra = set(answer) - {"id", "object", "deleted"}
        return [f"{name}: a deletion with {sorted(extra)}"] if extra else []
    kind = class_of(name)
    return list(_object(answer, kind, name)) if kind else [f"no published class for {name}"]


def class_of(name: str) -> Any:
    """The published class whose instances have this `object`, or None."""
    found = _OTHERS.get(name) or get_object_class("V1", name)
    return None if found is stripe.StripeObject else found


def _object(value: Any, kind: Any, path: str) -> Iterator[str]:
    origin = typing.get_origin(kind) or kind
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no object"
        return
    hints = {
        name: hint
        for base in reversed(origin.__mro__)
        if issubclass(base, stripe.StripeObject) and base is not stripe.StripeObject
        for name, hint in inspect.get_annotations(base).items()
        if typing.get_origin(hint) is not typing.ClassVar and not name.startswith("_")
    }
    arguments = dict(zip(getattr(origin, "__parameters__", ()), typing.get_args(kind), strict=True))
    for name, hint in hints.items():
        if name not in value and not _is_optional(hint):
            yield f"{path}.{name} is missing"
    for name, inner in value.items():
        if name in ("object", "url", "next_page") and issubclass(origin, _PAGES):
            continue
        if name not in hints:
            yield f"{path}.{name} is invented"
            continue
        yield from _value(inner, _with(hints[name], arguments), f"{path}.{name}")


def _with(hint: Any, arguments: dict[Any, Any]) -> Any:
    """The hint with a class's type variables replaced."""
    if typing.get_origin(hint) is list:
        [inner] = typing.get_args(hint)
        return list[arguments.get(inner, inner)]  # type: ignore[misc]
    return hint


def _is_optional(hint: Any) -> bool:
    return type(None) in typing.get_args(hint)


def _value(value: Any, hint: Any, path: str) -> Iterator[str]:
    hint = _resolved(hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or isinstance(hint, typing.TypeVar):
        if isinstance(value, dict) and "object" in value:
            yield from (f"{path}: {problem}" for problem in problems(value))
    elif origin in (typing.Union, types.UnionType):
        yield from _union(value, args, path)
    elif origin is typing.Literal:
        if value not in args:
            yield f"{path}: {value!r} is not among {args[:8]}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
        for at, item in enumerate(value if isinstance(value, list) else []):
            yield from _value(item, args[0], f"{path}[{at}]")
    elif origin in (UntypedStripeObject, dict) or hint in (UntypedStripeObject, dict):
        for name, item in value.items() if isinstance(value, dict) else ():
            yield from _value(item, args[-1] if args else Any, f"{path}.{name}")
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no hash"
    elif isinstance(origin or hint, type) and issubclass(origin or hint, stripe.StripeObject):
        yield from _object(value, hint, path)
    elif not _is_plain(value, hint):
        yield f"{path}: {value!r} is not of {hint}"


def _is_plain(value: Any, hint: Any) -> bool:
    if hint is bool or isinstance(value, bool):
        return hint is bool and isinstance(value, bool)
    if getattr(hint, "__name__", "") == "Decimal":
        return isinstance(value, str)  # Stripe sends decimals as text
    return isinstance(value, (int, float) if hint is float else hint)


def _union(value: Any, args: tuple[Any, ...], path: str) -> Iterator[str]:
    if value is None and type(None) in args:
        return
    members = [_resolved(arg) for arg in args if arg is not type(None)]
    enums = [arg for arg in members if typing.get_origin(arg) is typing.Literal]
    # An enum that is open for future values: today's are what may be sent.
    members = enums if enums and isinstance(value, str) else members
    if isinstance(value, dict) and "object" in value:
        members = [m for m in members if m is class_of(value["object"])] or members
    found = [list(_value(value, member, path)) for member in members]
    yield from min(found, key=len) if found else [f"{path}: {value!r} has no type"]


def _resolved(hint: Any) -> Any:
    if isinstance(hint, str):
        hint = typing.ForwardRef(hint)
    if isinstance(hint, typing.ForwardRef):
        # Some modules import a class under another name. What is unknown matches nothing.
        name = hint.__forward_arg__.removesuffix("Resource")
        return getattr(stripe, name, None) or _BY_NAME.get(name, stripe.StripeObject)
    return hint
