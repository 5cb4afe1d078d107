"""Validates requests against the SDK's own generated parameter types, strictly.

What belongs here: turning ``stripe.params`` into pydantic schemas that refuse unknown names and
unknown values of closed enums, Stripe's wording of the errors, and the limits that the types do
not contain. What does not: rules that need the state (`invoices.py` and the others).
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, Literal, Union

import stripe.params
import stripe.params.checkout
import stripe.params.radar
import stripe.params.test_helpers
import typing_extensions
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticCustomError
from stripe import RequestOptions
from stripe._stripe_object import UntypedStripeObject

from billing_pipeline.stripe_sandbox.errors import InvalidParamsError

Json = dict[str, Any]

_OPTIONS = frozenset(RequestOptions.__annotations__)
_MAX_LENGTHS = {"name": 256, "email": 512, "description": 500, "memo": 5000, "footer": 5000}
MAX_METADATA = 50
MAX_METADATA_KEY_LENGTH = 40
MAX_METADATA_VALUE_LENGTH = 500


def _integer(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch(r"-?\d{1,18}", value):
        raise PydanticCustomError("stripe_integer", "Invalid integer: {given}", {"given": value})
    return value


def _boolean(value: Any) -> Any:
    if value not in ("true", "false"):
        text = str(value)[:50]
        raise PydanticCustomError("stripe_boolean", "Invalid boolean: {given}", {"given": text})
    return value == "true"


_LEAVES: dict[Any, Any] = {
    int: Annotated[int, BeforeValidator(_integer)],
    bool: Annotated[bool, BeforeValidator(_boolean)],
    # Decimals and floats stay text, so that nothing here can round them.
    float: str,
}


def _strict(kind: Any, known: dict[Any, Any]) -> Any:
    if kind in _LEAVES:
        return _LEAVES[kind]
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return _strict_union(args, known)
    if origin in (typing.Required, typing.NotRequired) or origin in (
        typing_extensions.Required,
        typing_extensions.NotRequired,
    ):
        return origin[_strict(args[0], known)]
    if origin in (list, dict):
        return origin[tuple(_strict(arg, known) for arg in args)]
    if typing_extensions.is_typeddict(kind):
        return _strict_dict(kind, known)
    return kind


def _strict_union(args: tuple[Any, ...], known: dict[Any, Any]) -> Any:
    members = [arg for arg in args if typing.get_origin(arg) is not UntypedStripeObject]
    named = [
        arg for arg in members if typing.get_origin(arg) is Literal and typing.get_args(arg)[0]
    ]
    if named:
        # An enum that the SDK leaves open for future values.
        members = [arg for arg in members if arg is not str]
    return Union[tuple(_strict(arg, known) for arg in members)]  # noqa: UP007


def _strict_dict(kind: Any, known: dict[Any, Any]) -> Any:
    if kind in known:
        return known[kind]
    # Leave out the options that every request has: they are not parameters, and the SDK imports
    # their types for type checkers only.
    own = {name: hint for name, hint in kind.__annotations__.items() if name not in _OPTIONS}
    bare = type(kind.__name__, (), {"__annotations__": own, "__module__": kind.__module__})
    hints = typing_extensions.get_type_hints(bare, include_extras=True)
    fields = {name: _strict(hint, known) for name, hint in hints.items()}
    make: Any = typing_extensions.TypedDict
    strict = make(kind.__name__, fields)
    strict.__pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    known[kind] = strict
    return strict


@lru_cache(maxsize=256)
def _adapter(name: str) -> TypeAdapter[Json]:
    kind = attrgetter(name)(stripe.params)
    try:
        return TypeAdapter(_strict_dict(kind, {}))
    except PydanticUserError as error:
        raise AssertionError(f"stripe.params.{name} has a type that is not covered") from error


def check(name: str, params: Json) -> Json:
    """The parameters with their types; raises Stripe's error for the first invalid one.

    `name` is a class of ``stripe.params``. Integers and booleans are converted.
    """
    try:
        checked = _adapter(name).validate_python(params)
    except ValidationError as error:
        raise _refusal(error, params) from None
    _limits(checked, "")
    return checked


def _refusal(error: ValidationError, params: Json) -> InvalidParamsError:
    # Every member of a union reports an error; the deepest one is the member that was meant.
    first = max(error.errors(include_url=False), key=lambda item: len(_path(item["loc"], params)))
    param = _param(_path(first["loc"], params))
    if first["type"] == "extra_forbidden":
        return InvalidParamsError(
            f"Received unknown parameter: {param}", code="parameter_unknown", param=param
        )
    if first["type"] == "missing":
        param = _param([*_path(first["loc"][:-1], params), first["loc"][-1]])
        return InvalidParamsError(
            f"Missing required param: {param}.", code="parameter_missing", param=param
        )
    if first["type"] == "stripe_integer":
        return InvalidParamsError(first["msg"], code="parameter_invalid_integer", param=param)
    text = f"Invalid {param}: {first['msg']}"
    return InvalidParamsError(text, param=param)


def _path(loc: tuple[int | str, ...], params: Any) -> list[int | str]:
    """The parts of the location that exist in the input; the others name members of unions."""
    path: list[int | str] = []
    for part in loc:
        try:
            params = params[part]
        except (KeyError, IndexError, TypeError):
            continue
        path.append(part)
    return path


def _param(path: list[int | str]) -> str:
    return "".join(f"[{part}]" if at else str(part) for at, part in enumerate(path))


def _limits(value: Any, place: str) -> None:
    if isinstance(value, list):
        for at, item in enumerate(value):
            _limits(item, f"{place}[{at}]")
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        param = f"{place}[{name}]" if place else name
        if name in ("metadata", "invoice_metadata"):
            _metadata_limits(item, param)
        elif isinstance(item, str) and len(item) > _MAX_LENGTHS.get(name, 5000):
            most = _MAX_LENGTHS.get(name, 5000)
            text = f"Invalid string: {item[:20]}…; must be at most {most} chars"
            raise InvalidParamsError(text, param=param)
        else:
            _limits(item, param)


def _metadata_limits(given: Any, param: str) -> None:
    for name, value in (given or {}).items():
        if len(name) > MAX_METADATA_KEY_LENGTH:
            text = f"Metadata keys can be up to {MAX_METADATA_KEY_LENGTH} characters: {name[:50]}…"
            raise InvalidParamsError(text, param=param)
        if len(value) > MAX_METADATA_VALUE_LENGTH:
            text = f"Metadata values can have up to {MAX_METADATA_VALUE_LENGTH} characters: {name}"
            raise InvalidParamsError(text, param=f"{param}[{name}]")


def merge_metadata(held: Mapping[str, str], given: Any) -> dict[str, str]:
    """Metadata after an update: an empty value removes its key, an empty hash removes all."""
    if given is None:
        return dict(held)
    if given == "":
        return {}
    merged = {name: value for name, value in {**held, **given}.items() if value != ""}
    if len(merged) > MAX_METADATA:
        text = f"You can only attach {MAX_METADATA} metadata keys"
        raise InvalidParamsError(text, param="metadata")
    return merged
