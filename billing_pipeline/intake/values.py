"""From the text of a cell to its exact value, or to the reason why it has none.

What belongs here: pure functions text -> value that raise `BadValue`. What does not: which column
has which type (schemas.py), rules between cells (account_rules.py, catalog_rules.py), and usage
rows, whose millions of cells are read by the same grammar written in SQL (expressions.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo

from billing_pipeline.intake import wall_clock
from billing_pipeline.intake.problems import shown
from billing_pipeline.intake.reference.dbt_vars import DECIMAL
from billing_pipeline.money import CURRENCY_PLACES

# The grammar of time stamps, shared with expressions.py: RE2 and Python read it alike.
ISO_TIMESTAMP = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?"
    r"(?:Z|z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?)?"
)
_TIMESTAMP = re.compile(ISO_TIMESTAMP)
_DECIMAL = re.compile(f"([+-]?)({DECIMAL})")
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_DIGITS = 38  # of DuckDB's widest DECIMAL


class BadValue(ValueError):
    """The text is not a value of the required type; the message says what is allowed."""


def is_note(column: str) -> bool:
    """True if a column that the file does not define may be there: notes have names that begin with
    `_`, and spreadsheets leave columns without a name beside a table."""
    return not column or column.startswith("_")


def decimal(text: str, scale: int, digits: int = _DIGITS) -> Decimal:
    """An exact decimal of at most `scale` places that fits DECIMAL(38, scale), with at most
    `digits` digits before the point."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise BadValue(
            f"{shown(text)} is not a decimal number; write digits with '.' as the decimal point, "
            "without exponent, grouping or currency sign, for example 0.05"
        )
    whole, _, fraction = match[2].partition(".")
    whole, fraction = whole.lstrip("0"), fraction.rstrip("0")
    if len(fraction) > scale:
        raise BadValue(f"{shown(text)} has {len(fraction)} decimal places; allowed: up to {scale}")
    most = min(digits, _DIGITS - scale)
    if len(whole) > most:
        raise BadValue(f"{shown(text)} is too large; allowed: up to {most} digits before the point")
    number = Decimal(f"{whole or '0'}.{fraction}" if fraction else whole or "0")
    # Not `-number`: arithmetic rounds to the context's 28 digits.
    return number.copy_negate() if match[1] == "-" and number else number


def integer(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise BadValue(f"{shown(text)} is not a whole number, for example 14")
    return int(text)


def boolean(text: str) -> bool:
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise BadValue(
            f"{shown(text)} is neither true nor false; allowed: true, false, 1, 0, yes, no"
        )
    return value


def tax_exempt(text: str) -> bool:
    """A boolean, or Stripe's word for it: `none`, `exempt`, `reverse` (reverse charge: no tax)."""
    stripe = {"none": False, "exempt": True, "reverse": True}
    word = text.lower()
    if word in stripe:
        return stripe[word]
    try:
        return boolean(text)
    except BadValue as error:
        raise BadValue(f"{error}, none, exempt, reverse") from error


def currency(text: str) -> str:
    code = text.upper()
    if code not in CURRENCY_PLACES:
        raise BadValue(
            f"{shown(text)} is not an active ISO 4217 currency, for example USD, EUR, JPY"
        )
    return code


def country(text: str) -> str:
    """Two ASCII letters; whether such a country exists is not looked up (lists of them change)."""
    if re.fullmatch(r"[A-Za-z]{2}", text) is None:
        raise BadValue(
            f"{shown(text)} is not an ISO 3166 country of two letters, for example DE, US"
        )
    return text.upper()


def identifier(text: str) -> str:
    if _CONTROL.search(text) is not None:
        raise BadValue(f"{shown(text)} contains a control character; ids are printable text")
    return text


def identifiers(text: str) -> str:
    """Ids separated by `;`, in their order, without the spaces around them."""
    parts = [identifier(part.strip()) for part in text.split(";")]
    if not all(parts):
        raise BadValue(f"{shown(text)} has an empty id beside a `;`")
    repeated = [part for part in parts if parts.count(part) > 1]
    if repeated:
        raise BadValue(f"{shown(text)} names {shown(repeated[0])} more than once")
    return ";".join(parts)


def choice(text: str, allowed: Sequence[str], label: str, allowed_text: Sequence[str] = ()) -> str:
    """One of the words; `allowed_text` names them for a message in fewer words."""
    word = text.lower()
    if word in allowed:
        return word
    near = get_close_matches(word, allowed, n=1, cutoff=0.7)
    hint = f" (did you mean {near[0]}?)" if near else ""
    article = "an" if label[0] in "aeiou" else "a"
    words = ", ".join(allowed_text or allowed)
    raise BadValue(f"{shown(text)} is not {article} {label}{hint}; allowed: {words}")


def instant(text: str, zone: ZoneInfo) -> datetime:
    """A UTC instant from ISO 8601; without an offset the text is wall-clock time in `zone`.

    Digits after the microsecond are dropped.
    """
    try:
        return _instant(text, zone)
    except (ValueError, OverflowError) as error:
        raise BadValue(
            f"{shown(text)} is not an ISO 8601 time of the years 1 to 9999, "
            "for example 2024-01-31T13:45:00Z or 2024-01-31"
        ) from error


@lru_cache(maxsize=65536)
def _instant(text: str, zone: ZoneInfo) -> datetime:
    if _TIMESTAMP.fullmatch(text) is None:
        raise ValueError(text)
    cut = re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text.upper())
    parsed = datetime.fromisoformat(cut)
    if parsed.tzinfo is not None:
        return parsed.astimezone(UTC)
    return wall_clock.instant_of(parsed, zone)


def json_object(text: str) -> dict[str, object]:
    """A JSON object, read strictly: no NaN, no repeated key. Numbers keep their text."""

    def refuse_constant(token: str) -> object:
        raise BadValue(f"{token} is not JSON")

    try:
        value = json.loads(
            text,
            parse_float=JsonNumber,
            parse_int=JsonNumber,
            parse_constant=refuse_constant,
            object_pairs_hook=unique_keys,
        )
    except (ValueError, RecursionError) as error:
        raise BadValue(
            f'{shown(text)} is not a JSON object ({error}), for example {{"size": "small"}}'
        ) from error
    if not isinstance(value, dict):
        raise BadValue(f'{shown(text)} is not a JSON object, for example {{"size": "small"}}')
    return value


class JsonNumber(str):
    """A JSON number as its own text: money and quantities never pass through a float."""

    __slots__ = ()


def unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build an object, refusing repeated keys: readers disagree on which one counts."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise BadValue("a key is given twice")
    return value


_QUOTE = json.encoder.encode_basestring  # no \u escapes: text stays readable in rejections
_EXACT_IN_DOUBLE = 15  # decimal digits that every double keeps


def json_text(value: object) -> str:
    """JSON text of what `json_object` returns, with its numbers unchanged.

    A number with more digits than a double keeps is written as a string, because DuckDB reads JSON
    numbers as doubles; a number in a property may also be given as text. Without this,
    12345678901234567.25 would be billed as 12345678901234568.
    """
    if isinstance(value, JsonNumber):
        if len(value) > _EXACT_IN_DOUBLE and sum(map(str.isdigit, value)) > _EXACT_IN_DOUBLE:
            return _QUOTE(str(value))
        return str(value)
    if isinstance(value, str):
        return _QUOTE(value)
    if isinstance(value, dict):
        inner = [f"{_QUOTE(key)}:{json_text(item)}" for key, item in value.items()]
        return "{" + ",".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return json.dumps(value)
