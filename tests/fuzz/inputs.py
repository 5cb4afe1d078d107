"""Usage, price books, accounts and settings that somebody or something has damaged.

What must hold: what cannot be used is refused in one sentence that names the file, and every row of
a usage file that is read is there, accepted or with the reason why not.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.intake.reference.load import load_reference
from billing_pipeline.intake.usage import load_usage
from billing_pipeline.months import BillingMonth, InvalidMonthError
from billing_pipeline.settings import InvalidSettingError, Settings
from tests.fuzz.odd import CELLS, odd_bytes, odd_cell, odd_table
from tests.fuzz.verdict import Case

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"
MONTH = BillingMonth(2024, 1)
HEADER = "event_id,customer_id,event_name,occurred_at,quantity,properties,subscription_id"
ROWS = 8
USAGE = "\n".join(
    [
        HEADER,
        *(
            f'e{n},c{n % 3},call,2024-01-{n + 1:02}T10:00:00Z,{n}.5,"{{""a"": {n}}}",'
            for n in range(ROWS)
        ),
        "",
    ]
)


def _as_csv(text: str) -> bytes:
    return text.encode(errors="replace")


def _as_gzip(text: str) -> bytes:
    return gzip.compress(_as_csv(text), 1)


def _as_parquet(text: str) -> bytes:
    """All columns as text. Raises `pa.ArrowInvalid` where the text is no table."""
    out = io.BytesIO()
    read = pa_csv.ReadOptions(), pa_csv.ParseOptions(newlines_in_values=True)
    rows = pa_csv.read_csv(io.BytesIO(_as_csv(text)), *read)
    names = [str(name) for name in rows.column_names]
    text_only = rows.cast(pa.schema([(name, pa.string()) for name in names]))
    pq.write_table(text_only, out)
    return out.getvalue()


def _as_json_lines(text: str) -> bytes:
    rows = pa_csv.read_csv(
        io.BytesIO(_as_csv(text)), parse_options=pa_csv.ParseOptions(newlines_in_values=True)
    )
    return "".join(json.dumps(row, default=str) + "\n" for row in rows.to_pylist()).encode()


_TABLE_FORMS: dict[str, Callable[[str], bytes]] = {
    ".csv": _as_csv,
    ".csv.gz": _as_gzip,
    ".parquet": _as_parquet,
}
_USAGE_FORMS = _TABLE_FORMS | {
    ".jsonl": _as_json_lines,
    ".jsonl.gz": lambda text: gzip.compress(_as_json_lines(text), 1),
}


def _settings(folder: Path) -> Settings:
    return Settings.from_env(
        {"BILLING_DATA_DIR": str(folder / "data"), "BILLING_HOME": str(folder / "home")}
    )


def _form(text: str, extension: str, form: Callable[[str], bytes]) -> tuple[str, bytes]:
    try:
        return extension, form(text)
    except (pa.ArrowInvalid, OverflowError):  # so odd that it cannot even be written like that
        return ".csv", _as_csv(text)


def usage_cells(case: Case, rng: Random, folder: Path) -> None:
    """One cell of a usage file, in each format: no row is lost."""
    text = odd_cell(rng, USAGE)
    extension, data = _form(text, *rng.choice(list(_USAGE_FORMS.items())))
    case.made = f"u{extension}: {_difference(USAGE, text)}"
    _load_usage(case, folder, f"u{extension}", data, rows=ROWS)


def usage_bytes(case: Case, rng: Random, folder: Path) -> None:
    """A few bytes of a usage file, in each format."""
    extension, form = rng.choice(list(_USAGE_FORMS.items()))
    data = odd_bytes(rng, form(USAGE))
    case.made = f"u{extension}: {data[:300]!r}"
    _load_usage(case, folder, f"u{extension}", data, rows=None)


def _load_usage(case: Case, folder: Path, name: str, data: bytes, rows: int | None) -> None:
    path = folder / "data" / "usage" / str(MONTH) / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with duckdb.connect() as db, case.refusing(InvalidInput, naming=f"usage/{MONTH}/{name}"):
        load_usage(db, _settings(folder), MONTH)
        read = db.execute(
            "select event_id, customer_id, event_name, occurred_at, quantity, properties, "
            "subscription_id, source_row, parse_error from raw.usage_events"
        ).fetchall()
        case.expect(rows in (None, len(read)), f"{len(read)} rows of {rows}")
        case.expect(len({row[7] for row in read}) == len(read), "rows share a number")


def price_book_and_accounts(case: Case, rng: Random, folder: Path) -> None:
    """One table of an example, as a table or in its bytes, in each format."""
    example = rng.choice(sorted(path for path in EXAMPLES.iterdir() if path.is_dir()))
    for part in ("catalog", "accounts"):
        shutil.copytree(example / part, folder / "data" / part)
    path = rng.choice(sorted(folder.glob("data/*/*.csv")))
    text = path.read_text(encoding="utf-8")
    path.unlink()
    if rng.random() < 0.7:
        changed = odd_table(rng, text)
        extension, data = _form(changed, *rng.choice(list(_TABLE_FORMS.items())))
        made = _difference(text, changed)
    else:
        extension, form = rng.choice(list(_TABLE_FORMS.items()))
        data = odd_bytes(rng, form(text))
        made = repr(data[:300])
    name = path.with_suffix(extension)
    name.write_bytes(data)
    case.made = f"{example.name}, {name.name}: {made}"
    with duckdb.connect() as db, case.refusing(InvalidInput, naming=f"/{path.stem}"):
        load_reference(db, _settings(folder))


def special_files(case: Case, rng: Random, folder: Path) -> None:
    """Something that is no file, or has an odd name, where inputs are looked for."""
    data = folder / "data"
    shutil.copytree(EXAMPLES / "subscriptions", data)
    place = rng.choice(
        (data / "usage" / str(MONTH), data / "catalog", data / "accounts", data / "usage")
    )
    place.mkdir(parents=True, exist_ok=True)
    stems = ("u", "prices", "customers", "é" * 60, "a b", "-rf", "x\ny", "U", "2024-02")
    extensions = (".csv", ".jsonl", ".parquet", ".CSV", ".csv.gz", ".txt", "")
    path = place / (rng.choice(stems) + rng.choice(extensions))
    if path.is_dir() and not path.is_symlink():
        path = path.with_name("other")
    path.unlink(missing_ok=True)
    kind = rng.choice(list(_SPECIAL))
    _SPECIAL[kind](path)
    case.made = f"{kind} at {path.relative_to(data)}"
    with duckdb.connect() as db, case.refusing(InvalidInput):
        load_reference(db, _settings(folder))
        load_usage(db, _settings(folder), MONTH)
        db.execute("select count(*) from raw.usage_events where quantity > 0").fetchall()


_SPECIAL: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link out of the directory": lambda path: path.symlink_to("/etc/passwd"),
    "folder": Path.mkdir,
    "empty file": Path.touch,
    "archive": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(100)),
    "empty archive": lambda path: path.write_bytes(gzip.compress(b"")),
}


def settings(case: Case, rng: Random, folder: Path) -> None:
    """One or two settings of any text."""
    env = {"BILLING_DATA_DIR": str(folder), "BILLING_HOME": str(folder)}
    names = rng.sample(_SETTINGS, rng.randint(1, 2))
    for name in names:
        env[name] = rng.choice((*CELLS, *_SETTING_TEXTS)).replace("\x00", "")
    case.made = str({name: env[name][:60] for name in names})
    with case.refusing(InvalidSettingError, InvalidMonthError):
        Settings.from_env(env)
    named = case.refused is None or any(name in case.refused for name in names)
    case.expect(named, f"names no setting: {case.refused}")


_SETTINGS = (
    *("BILLING_TIMEZONE", "BILLING_FIRST_MONTH", "STRIPE_API_KEY", "STRIPE_API_BASE"),
    *("STRIPE_ACCOUNT", "HTTPS_PROXY", "STRIPE_WEBHOOK_SECRET", "BILLING_ALLOW_LIVE"),
    *("BILLING_MEMORY_LIMIT", "BILLING_MAX_INPUT_BYTES", "BILLING_METERING"),
    *("BILLING_MAX_INVOICE_TOTAL", "BILLING_MAX_MONTH_CHANGE_PERCENT", "BILLING_DUNNING_HOURS"),
    *("BILLING_DUNNING_END", "BILLING_UI_URL", "BILLING_TRIAL_NOTICE_DAYS", "BILLING_SPIKE_FACTOR"),
    *("BILLING_SUSPEND_DAYS", "BILLING_DRIFT_MONTHS", "BILLING_CLOSE_DAY"),
    *("BILLING_CLOSE_GRACE_HOURS", "BILLING_DATA_DIR", "BILLING_NOTIFY_URLS"),
)
_SETTING_TEXTS = (
    *("sk_test_x", "sk_live_x", "http://127.0.0.1:1", "http://[::1", "https://x:99999", "ftp://x"),
    *("Europe/Berlin", "../etc/passwd", "Mars/Base", "2024-01", "1", "99999999999", "4GB", "0GB"),
    *("s3://", "s3://b/../x", "gs://x", "az://x/y", "1,2,3", "3,2,1", ",,", "١"),
)


def _difference(before: str, after: str) -> str:
    new = set(after.splitlines()) - set(before.splitlines())
    return f"{sorted(new)[:2]}"[:300]
