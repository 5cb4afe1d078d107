"""Every request against the SDK's own generated parameter types, made strict.

What belongs here: turning `stripe.params.*` (TypedDicts generated from Stripe's specification)
into validators that refuse what they do not name, read form-encoded strings, close the enums and
bound the lengths; and telling the result in Stripe's words. What does not: rules that need state.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import stripe
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from stripe import params as sdk_params
from typing_extensions import (
    NotRequired,
    Required,
    TypedDict,
    get_type_hints,
    is_typeddict,
)

from billing_pipeline.stripe_api.sandbox.errors import ApiError, missing_param, not_validated
from billing_pipeline.stripe_api.sandbox.forms import Params, bracketed

LONGEST = 5000
"""Stripe's bound of a string that has no other."""

# Where Stripe's bound is shorter: field name, or parameter type and field name.
LENGTHS = {
    "CustomerCreateParams.name": 256,
    "CustomerUpdateParams.name": 256,
    "email": 512,
    "phone": 20,
    "InvoiceCreateParams.description": 1500,
    "InvoiceUpdateParams.description": 1500,
    "CustomerBalanceTransactionCreateParams.description": 350,
    "PaymentIntentCreateParams.description": 1000,
    "PaymentIntentUpdateParams.description": 1000,
    "statement_descriptor": 22,
    "statement_descriptor_suffix": 22,
}
# An empty string takes these away; anywhere else it is refused.
UNSETTABLE = {"name", "email", "phone", "description", "footer", "memo", "statement_descriptor"}

_INTEGER = re.compile(r"-?[0-9]{1,15}")
_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,12})?")
# What the SDK mixes into its parameter types and never sends as a parameter.
_OPTIONS = frozenset(
    {
        "api_key",
        "stripe_version",
        "stripe_account",
        "stripe_context",
        "max_network_retries",
        "idempotency_key",
        "content_type",
        "headers",
    }
)


def validate(params_type: str, params: Params) -> Params:
    """Typed parameters; raises `ApiError` (400) as Stripe would. `params_type` is a class of
    `stripe.params`."""
    try:
        result: Params = _adapter(params_type).validate_python(params)
    except ValidationError as error:
        raise _as_stripe_says(error.errors(include_url=False), params) from None
    return result


@cache
def _adapter(params_type: str) -> TypeAdapter[Any]:
    return TypeAdapter(_strict_dict(getattr(sdk_params, params_type)))


@cache
def _strict_dict(declared: Any) -> Any:
    """The TypedDict with the same fields that allows no others."""
    own = {k: v for k, v in declared.__annotations__.items() if k not in _OPTIONS}
    hints = get_type_hints(
        SimpleNamespace(__annotations__=own),  # type: ignore[arg-type]
        globalns=vars(sys.modules[declared.__module__]),
        include_extras=True,
    )
    fields: dict[str, Any] = {}
    for name, hint in hints.items():
        is_required = name in declared.__required_keys__
        strict = _strict(_bare(hint), f"{declared.__name__}.{name}")
        fields[name] = Required[strict] if is_required else NotRequired[strict]
    closed: Any = TypedDict(declared.__name__, fields)  # type: ignore[operator]
    closed.__pydantic_config__ = ConfigDict(extra="forbid")
    return closed


def _bare(hint: Any) -> Any:
    while get_origin(hint) in (NotRequired, Required):
        hint = get_args(hint)[0]
    return hint


def _strict(hint: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return _strict_union(get_args(hint), where)
    if origin is list:
        return Annotated[
            list[_strict(get_args(hint)[0], where)],  # type: ignore[misc]
            BeforeValidator(_as_list),
        ]
    if origin is dict:
        return _METADATA
    if origin is Literal:
        return hint
    if is_typeddict(hint):
        return _strict_dict(hint)
    if hint is str:
        field = where.rpartition(".")[2]
        bound = LENGTHS.get(where, LENGTHS.get(field, LONGEST))
        return _text(bound, may_be_empty=field in UNSETTABLE)
    return {int: _INT, bool: _BOOL, Decimal: _NUMBER, float: _NUMBER}.get(hint, hint)


def _strict_union(options: Iterable[Any], where: str) -> Any:
    kept = [o for o in options if not _is_untyped(o) and o is not NoneType]
    # Generated enums are open (`Literal[…] | str`): without the `str` they are what Stripe takes.
    if any(get_origin(o) is Literal and get_args(o) != ("",) for o in kept):
        kept = [o for o in kept if o is not str]
    strict = tuple(_strict(option, where) for option in kept)
    return Union[strict] if len(strict) > 1 else strict[0]


def _is_untyped(option: Any) -> bool:
    return getattr(get_origin(option) or option, "__name__", "") == "UntypedStripeObject"


def _text(longest: int, *, may_be_empty: bool = False) -> Any:
    shortest = 0 if may_be_empty else 1
    return Annotated[str, StringConstraints(max_length=longest, min_length=shortest)]


def _as_list(value: Any) -> Any:
    if not isinstance(value, dict):
        raise PydanticCustomError("invalid", "Invalid array")
    try:
        return [value[key] for key in sorted(value, key=int)]
    except ValueError:
        raise PydanticCustomError("invalid", "Invalid array") from None


def _as_int(value: Any) -> int:
    if not isinstance(value, str) or not _INTEGER.fullmatch(value):
        raise PydanticCustomError(
            "parameter_invalid_integer", "Invalid integer: {value}", {"value": _short(value)}
        )
    return int(value)


def _as_bool(value: Any) -> bool:
    if value not in ("true", "false"):
        raise PydanticCustomError("invalid", "Invalid boolean: {value}", {"value": _short(value)})
    return bool(value == "true")


def _as_number(value: Any) -> Decimal:
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise PydanticCustomError(
            "invalid",
            "Invalid decimal: {value}; must contain at maximum twelve decimal places.",
            {"value": _short(value)},
        )
    return Decimal(value)


_INT = Annotated[int, BeforeValidator(_as_int)]
_BOOL = Annotated[bool, BeforeValidator(_as_bool)]
_NUMBER = Annotated[Decimal, BeforeValidator(_as_number)]
# The only free-form dicts in Stripe's parameters are metadata.
_METADATA = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=40)],
        Annotated[str, StringConstraints(max_length=500)],
    ],
    Field(max_length=50),
]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _as_stripe_says(errors: list[ErrorDetails], params: Params) -> ApiError:
    """One error, as Stripe gives one: unknown parameters first, then the deepest."""
    placed = [(_path(error, params), error) for error in errors]
    unknown = [bracketed(path) for path, e in placed if e["type"] == "extra_forbidden"]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        listed = ", ".join(dict.fromkeys(unknown))
        message = f"Received unknown parameter{plural}: {listed}"
        return not_validated(message, unknown[0], "parameter_unknown")
    # An error inside one branch of a union says more than that the other branches do not fit.
    path, error = max(placed, key=lambda pair: len(pair[0]))
    return _one_error(bracketed(path), path, error)


def _one_error(param: str, path: list[str], error: ErrorDetails) -> ApiError:
    kind, value = error["type"], error["input"]
    if kind == "missing":
        return missing_param(param)
    if kind == "literal_error":
        allowed = str(error.get("ctx", {}).get("expected", "")).replace("'", "")
        return not_validated(f"Invalid {path[-1]}: must be one of {allowed}", param)
    if any(part.endswith("metadata") for part in path[-2:]):
        return _metadata_error(param, error)
    if kind == "string_too_long":
        bound = error.get("ctx", {}).get("max_length")
        message = f"Invalid string: {_short(value)}; must be at most {bound} characters"
        return not_validated(message, param)
    if value == "":
        return not_validated(
            f"You passed an empty string for '{param}'. We assume empty values are an attempt to "
            f"unset a parameter; however '{param}' cannot be unset. You should remove '{param}' "
            "from your request or supply a non-empty value.",
            param,
            "parameter_invalid_empty",
        )
    if kind.startswith("parameter_"):
        return not_validated(error["msg"], param, kind)
    if kind == "invalid":
        return not_validated(error["msg"], param)
    expected = "string" if kind.startswith("string") else "object"
    return not_validated(f"Invalid {expected}: {_short(value)}", param)


def _metadata_error(param: str, error: ErrorDetails) -> ApiError:
    if error["type"] == "too_long":
        return not_validated("Metadata can only have up to 50 keys.", param)
    if error["type"] != "string_too_long":
        return not_validated(f"Invalid object: {_short(error['input'])}", param)
    what = "key" if "[key]" in error["loc"] else "value"
    bound = error.get("ctx", {}).get("max_length")
    text = str(error["input"])
    message = (
        f"Metadata {what}s can have up to {bound} characters, but you passed in a {what} that is "
        f"{len(text)} characters. Invalid {what}: {_short(text)}"
    )
    return not_validated(message, param)


def _path(error: ErrorDetails, params: Params) -> list[str]:
    """Where the error is in what was sent. pydantic puts names of union branches in between."""
    path: list[str] = []
    place: Any = params
    for step in error["loc"]:
        if not isinstance(place, dict):
            break
        if isinstance(step, int):
            step = sorted(place, key=int)[step]
        if step in place:
            path.append(step)
            place = place[step]
        elif error["type"] == "missing" and step == error["loc"][-1]:
            path.append(step)
    return path


assert stripe.api_version == "2026-10-28.endive", "look through the sandbox at an SDK upgrade"
