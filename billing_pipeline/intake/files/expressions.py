"""The single grammar of usage values, as DuckDB expressions: text or typed column -> value, fault.

What belongs here: expressions over the columns of a row. They serve both the columns of Parquet
files, in place, and the text of CSV and JSON Lines, so a value means the same in every format; and,
as functions of the warehouse, the properties that dbt reads. What does not: files
(usage_files.py, text_files.py), the cells of catalog and accounts (values.py).

Every function takes the SQL of a column and returns SQL. Names and numbers in that SQL are
constants of this package or quoted by `sql_text`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from zoneinfo import ZoneInfo

from billing_pipeline.duckdb_sql import sql_text
from billing_pipeline.intake.reference.dbt_vars import DECIMAL
from billing_pipeline.intake.reference.schemas import USAGE_COLUMNS
from billing_pipeline.intake.values import ISO_TIMESTAMP
from billing_pipeline.intake.wall_clock import instant_sql

_IDS = ("event_id", "customer_id", "event_name", "subscription_id")

QUANTITY_TYPE = "DECIMAL(38,18)"
# A quantity has at most 15 digits before the point, five fewer than the type holds, so that no
# single event can push a sum, or its product with a price, beyond 38 digits and stop the month for
# all customers.
_INTEGER_DIGITS, _DECIMAL_PLACES = 15, 18
_ONE_QUANTITY = f"DECIMAL({_INTEGER_DIGITS + _DECIMAL_PLACES},{_DECIMAL_PLACES})"

# Nearly all decimals: their zeros and exponents need no further processing.
_SIMPLE_DECIMAL = f"[0-9]{{1,{_INTEGER_DIGITS}}}(\\.[0-9]{{1,{_DECIMAL_PLACES}}})?"
_ANY_DECIMAL = f"{DECIMAL}([eE][+-]?[0-9]+)?"
# The form of nearly all time stamps, which needs no special care for year 1 or 9999, or for zones.
_COMMON_TIMESTAMP = (
    r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_HAS_OFFSET = r".*:.*(Z|[+-][0-9:]+)"
_LONG_FRACTION = r"(\.[0-9]{6})[0-9]+"

# The instants of the years 1 to 9999: Python, Parquet readers and Stripe support no others.
_EARLIEST = "TIMESTAMPTZ '0001-01-01 00:00:00+00'"
_LATEST = "TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"

# A quoted JSON string, to be removed before looking for tokens that DuckDB's reader accepts though
# they are not JSON: NaN, Infinity, a comma before a closing bracket.
_JSON_STRING = r'"(\\.|[^"\\])*"'
_JSON_TOKEN = rf'{_JSON_STRING}|[^"]+'
_LAST_ZEROS = r"(\.[0-9]+?)0+\b"
_LONG_NUMBER = "-?[0-9][0-9.eE+-]{15,}"
_NOT_JSON = r"(?i)nan|inf|,\s*[}\]]"

# Types whose numbers to_json changes; field names that are SQL words are in quotes and do not
# count. A 32-bit 0.1 would become 0.10000000149011612, and numbers within JSON become doubles.
_UNSAFE_IN_JSON = re.compile(r'"(?:[^"]|"")*"|\b(?:FLOAT|JSON)\b')


def trimmed(text: str) -> str:
    """Text without surrounding blanks; NULL if nothing is left."""
    return f"nullif(trim({text}, ' \t\r\n'), '')"


def _let(name: str, value: str, body: str) -> str:
    """SQL's missing `let name = value in body`, within one expression."""
    return f"list_transform([{value}], lambda {name}: {body})[1]"


def decimal_from_text(text: str) -> str:
    """The exact DECIMAL(38,18) of decimal text; NULL if the text is not a decimal or does not fit.

    The common form is one check and one cast. Numbers with extra zeros or an exponent (`1.50e-3`,
    `007`) take the long way, which moves the point within the text and never uses a float.
    """
    return (
        f"CASE WHEN regexp_full_match({text}, {sql_text(f'[+-]?{_SIMPLE_DECIMAL}')}) "
        f"THEN CAST({text} AS {QUANTITY_TYPE}) "
        f"WHEN regexp_full_match({text}, {sql_text(f'[+-]?{_ANY_DECIMAL}')}) "
        f"THEN {_shifted_decimal(text)} END"
    )


def property_macros() -> list[str]:
    """Statements that create a warehouse's functions for reading the text of a property; dbt's
    macros of the same names call them. `number_from_text` is `decimal_from_text`.
    `quantity_from_text` is the same, but NULL below 0. `is_decimal_text` is true for a decimal of 0
    or more, of any size."""
    simple, any_decimal = (sql_text(f"[+]?{form}") for form in (_SIMPLE_DECIMAL, _ANY_DECIMAL))
    positive = "CASE WHEN number >= 0 THEN number END"
    return [
        "CREATE OR REPLACE MACRO raw.quantity_from_text(given) AS "
        f"CASE WHEN regexp_full_match(given, {simple}) THEN CAST(given AS {QUANTITY_TYPE}) "
        f"ELSE {_let('number', decimal_from_text('given'), positive)} END",
        f"CREATE OR REPLACE MACRO raw.number_from_text(given) AS {decimal_from_text('given')}",
        "CREATE OR REPLACE MACRO raw.is_decimal_text(given) AS "
        f"regexp_full_match(given, {any_decimal})",
    ]


def _shifted_decimal(text: str) -> str:
    """Like `decimal_from_text`, for text known to match `_ANY_DECIMAL`."""
    whole = f"regexp_extract({text}, '^[+-]?([0-9]*)', 1)"
    fraction = f"regexp_extract({text}, '\\.([0-9]*)', 1)"
    exponent_text = f"regexp_extract({text}, '[eE]([+-]?[0-9]+)$', 1)"
    # An exponent that does not fit INTEGER is beyond every range anyway: only its sign matters.
    exponent = (
        f"CASE WHEN {exponent_text} = '' THEN 0 "
        f"ELSE coalesce(TRY_CAST({exponent_text} AS INTEGER), "
        f"CASE WHEN starts_with({exponent_text}, '-') THEN -1000000 ELSE 1000000 END) END"
    )
    # number = 0.<digits> * 10^point, digits without zeros at either end
    digits = "ltrim(mantissa, '0')"
    zeros = f"(length(mantissa) - length({digits}))"
    point = f"(length({whole})::BIGINT + {exponent} - {zeros})"
    negative = f"starts_with({text}, '-')"
    placed = (
        f"CASE WHEN digits = '' THEN 0::{QUANTITY_TYPE} "
        f"WHEN point > {_INTEGER_DIGITS} OR length(digits) - point > {_DECIMAL_PLACES} THEN NULL "
        "ELSE TRY_CAST("
        f"CASE WHEN {negative} THEN '-' ELSE '' END || "
        "CASE WHEN point <= 0 THEN '0.' || repeat('0', -point) || digits "
        "WHEN point >= length(digits) THEN digits || repeat('0', point - length(digits)) "
        "ELSE left(digits, point) || '.' || substr(digits, point + 1) END "
        f"AS {QUANTITY_TYPE}) END"
    )
    return _let(
        "mantissa",
        f"rtrim({whole} || {fraction}, '0')",
        _let("digits", digits, _let("point", point, placed)),
    )


def quantity(column: str, sql_type: str) -> str:
    """The event's quantity; an empty one counts as 1; NULL if it cannot be used."""
    if sql_type == "VARCHAR":
        text = trimmed(column)
        return f"CASE WHEN {text} IS NULL THEN 1 ELSE {decimal_from_text(text)} END"
    return f"CASE WHEN {column} IS NULL THEN 1 ELSE {_number(column, sql_type)} END"


def quantity_fault(column: str, sql_type: str, value: str) -> str | None:
    """The reason code if `value` (of `quantity`) is NULL; None if it never is."""
    if sql_type in _SMALL_INTEGERS or _fits(sql_type):
        return None
    text = trimmed(f"CAST({column} AS VARCHAR)")
    return (
        f"CASE WHEN {value} IS NOT NULL THEN NULL "
        f"WHEN regexp_full_match({text}, {sql_text(f'[+-]?{_ANY_DECIMAL}')}) "
        "THEN 'quantity_out_of_range' "
        "ELSE 'invalid_quantity' END"
    )


_SMALL_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER")
_LARGE_INTEGERS = ("BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT")
_DOUBLES = ("FLOAT", "DOUBLE")


def is_quantity_type(sql_type: str) -> bool:
    known = (*_SMALL_INTEGERS, *_LARGE_INTEGERS, *_DOUBLES, "VARCHAR", '"NULL"')
    return sql_type in known or sql_type.startswith("DECIMAL(")


def _fits(sql_type: str) -> bool:
    """True for a DECIMAL type whose values all fit a quantity."""
    if not sql_type.startswith("DECIMAL("):
        return False
    width, scale = map(int, sql_type[len("DECIMAL(") : -1].split(","))
    return scale <= _DECIMAL_PLACES and width - scale <= _INTEGER_DIGITS


def _number(column: str, sql_type: str) -> str:
    if sql_type in _SMALL_INTEGERS or _fits(sql_type):
        return f"CAST({column} AS {QUANTITY_TYPE})"
    if sql_type in _LARGE_INTEGERS:
        return f"CAST(TRY_CAST({column} AS {_ONE_QUANTITY}) AS {QUANTITY_TYPE})"
    by_text = decimal_from_text(f"CAST({column} AS VARCHAR)")
    if sql_type in _DOUBLES:
        # Whole numbers of 15 digits are exact in a double, and most quantities are whole, so they
        # need no text. For all others the shortest text counts: 0.1 is 0.1.
        whole = f"abs({column}) < 1e{_INTEGER_DIGITS} AND {column} = trunc({column})"
        number = f"CAST(CAST({column} AS BIGINT) AS {QUANTITY_TYPE})"
        return f"CASE WHEN {whole} THEN {number} ELSE {by_text} END"
    return by_text


def occurred_at(column: str, sql_type: str, zone: ZoneInfo) -> str:
    """The instant; NULL if it is missing, malformed or outside the years 1 to 9999."""
    if sql_type == "VARCHAR":
        return _instant_from_text(trimmed(column), zone)
    if sql_type == "TIMESTAMP WITH TIME ZONE":
        return _in_range(column)
    # A cast would round to the microsecond, which at a month's end could move to the next month.
    if sql_type == "TIMESTAMPTZ_NS":
        return f"make_timestamptz(epoch_ns({column}) // 1000)"
    if sql_type == "TIMESTAMP_NS":
        return instant_sql(f"make_timestamp(epoch_ns({column}) // 1000)", zone)
    return _in_range(instant_sql(f"CAST({column} AS TIMESTAMP)", zone))


def _in_range(instant: str) -> str:
    return f"CASE WHEN {instant} BETWEEN {_EARLIEST} AND {_LATEST} THEN {instant} END"


def occurred_at_fault(column: str, sql_type: str, value: str) -> str:
    given = trimmed(column) if sql_type == "VARCHAR" else column
    return f"CASE WHEN {value} IS NULL AND {given} IS NOT NULL THEN 'invalid_timestamp' END"


def is_timestamp_type(sql_type: str) -> bool:
    return sql_type.startswith("TIMESTAMP") or sql_type in ("DATE", "VARCHAR", '"NULL"')


def _instant_from_text(text: str, zone: ZoneInfo) -> str:
    plain = f"upper(regexp_replace({text}, {sql_text(_LONG_FRACTION)}, '\\1'))"
    careful = _let(
        "instant",
        f"CASE WHEN regexp_full_match({plain}, {sql_text(_HAS_OFFSET)}) "
        f"THEN TRY_CAST({plain} AS TIMESTAMPTZ) "
        f"ELSE {_let('wall', f'TRY_CAST({plain} AS TIMESTAMP)', instant_sql('wall', zone))} END",
        _in_range("instant"),
    )
    return (
        f"CASE WHEN regexp_full_match({text}, {sql_text(_COMMON_TIMESTAMP)}) "
        f"THEN TRY_CAST({text} AS TIMESTAMPTZ) "
        f"WHEN regexp_full_match({text}, {sql_text(ISO_TIMESTAMP)}) THEN {careful} END"
    )


def properties(column: str, sql_type: str) -> str:
    """JSON object text; NULL if the cell is empty or not an object."""
    if sql_type in ("VARCHAR", "JSON"):
        given = f"CAST({column} AS VARCHAR)"
        text = trimmed(given)
        # Most are empty, or objects without surrounding blanks: trimming them would cost as much as
        # everything else.
        return (
            f"CASE WHEN {given} IS NULL THEN NULL "
            f"WHEN ends_with({given}, '}}') AND {_is_object(given)} "
            f"THEN {_long_numbers_as_text(given)} "
            f"WHEN {_is_object(text)} THEN {_long_numbers_as_text(text)} END"
        )
    typed = _UNSAFE_IN_JSON.sub(lambda word: "VARCHAR" if word[0] == "FLOAT" else word[0], sql_type)
    text = f"CAST(to_json(CAST({column} AS {typed})) AS VARCHAR)"
    if "DECIMAL(" not in sql_type:
        return text  # 64-bit integers and doubles are read from JSON unchanged
    # A DECIMAL(38,18) is written with all its places; 1.5 must stay 1.5, because filters compare
    # text.
    return _long_numbers_as_text(
        text, f"regexp_replace(token, {sql_text(_LAST_ZEROS)}, '\\1', 'g')"
    )


def _long_numbers_as_text(text: str, numbers: str = "token") -> str:
    """JSON numbers of more than 15 digits as JSON strings: DuckDB reads numbers as DOUBLE.

    What looks like a number within a string stays unchanged. `numbers` is SQL that is first applied
    to each `token` between strings.
    """
    long = sql_text(_LONG_NUMBER)
    tokens = f"regexp_extract_all({text}, {sql_text(_JSON_TOKEN)})"
    quoted = f"regexp_replace({numbers}, {long}, '\"\\0\"', 'g')"
    return (
        f"CASE WHEN regexp_matches({text}, {long}) THEN array_to_string(list_transform("
        f"{tokens}, lambda token: CASE WHEN starts_with(token, '\"') THEN token ELSE {quoted} END"
        f"), '') ELSE {text} END"
    )


def properties_fault(column: str, sql_type: str, value: str) -> str | None:
    if sql_type not in ("VARCHAR", "JSON"):
        return None
    text = trimmed(f"CAST({column} AS VARCHAR)")
    return f"CASE WHEN {value} IS NULL AND {text} IS NOT NULL THEN 'invalid_properties' END"


def is_properties_type(sql_type: str) -> bool:
    if sql_type.endswith("]"):
        return False  # a list, even of structs, is not an object
    if sql_type.startswith(("STRUCT(", "MAP(")):
        return "JSON" not in _UNSAFE_IN_JSON.findall(sql_type)
    return sql_type in ("VARCHAR", "JSON", '"NULL"')


def _is_object(text: str) -> str:
    bare = f"regexp_replace({text}, {sql_text(_JSON_STRING)}, '', 'g')"
    return (
        f"starts_with({text}, '{{') AND json_valid({text}) AND "
        f"(NOT regexp_matches({text}, {sql_text(_NOT_JSON)}) "
        f"OR NOT regexp_matches({bare}, {sql_text(_NOT_JSON)}))"
    )


def text_id(column: str, sql_type: str) -> str:
    """An id as text without surrounding spaces; numbers and UUIDs as their text; empty is NULL.

    Only spaces (of all scripts) are trimmed, because looking for other blanks takes three times as
    long; and only where there may be any, because every row has ids, nearly all are ASCII without a
    space at either end, and checking that takes a fraction of a trim.
    """
    text = column if sql_type == "VARCHAR" else f"CAST({column} AS VARCHAR)"
    is_bare = (
        f"strlen({text}) = length({text}) AND {text} <> '' "
        f"AND NOT starts_with({text}, ' ') AND NOT ends_with({text}, ' ')"
    )
    return f"CASE WHEN {is_bare} THEN {text} ELSE nullif(trim({text}), '') END"


def is_clean(name: str, sql_type: str) -> str:
    """SQL that is true if a usage column's value can be used unchanged, as in most rows of most
    files.

    If it is true for a whole file, nothing needs to be computed when the file is read again.
    """
    if name in _IDS and sql_type == "VARCHAR":
        meaning = text_id(name, sql_type)
    elif name == "occurred_at" and sql_type == "TIMESTAMP WITH TIME ZONE":
        meaning = _in_range(name)
    elif name == "properties" and sql_type == "VARCHAR":
        meaning = properties(name, sql_type)
    else:
        return "false"
    return f"{name} IS NOT DISTINCT FROM {meaning}"


def event_values(types: Mapping[str, str], zone: ZoneInfo) -> dict[str, str]:
    """The value of each usage column, in order, if the columns have these types."""
    values = {name: text_id(name, types[name]) for name in _IDS}
    values |= {
        "occurred_at": occurred_at("occurred_at", types["occurred_at"], zone),
        "quantity": quantity("quantity", types["quantity"]),
        "properties": properties("properties", types["properties"]),
    }
    return {name: values[name] for name in USAGE_COLUMNS}


def event_fault(types: Mapping[str, str], clean: Collection[str] = ()) -> str:
    """Why a row cannot be used, by its first column without a usable value, or NULL. The values are
    available as `used_<name>`; columns known to be `clean` are not checked."""
    faults = [
        fault(name, types[name], f"used_{name}")
        for name, fault in (
            ("occurred_at", occurred_at_fault),
            ("quantity", quantity_fault),
            ("properties", properties_fault),
        )
        if name not in clean
    ]
    return f"coalesce({', '.join(part for part in faults if part is not None) or 'NULL::VARCHAR'})"
