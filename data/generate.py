"""Writes the sample: `python data/generate.py` renews catalog/, accounts/ and usage/ beside it.

The same bytes on every run: everything comes from one seed (generator/contract.py). What belongs
here: which file is written where. What does not: the data (generator/).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from generator import accounts, files, flaws, price_book, traffic
from generator.contract import COLUMNS, MONTHS, Row


def write_reference(target: Path) -> None:
    """catalog/ and accounts/."""
    found = accounts.accounts()
    tables: dict[str, list[Row]] = {name: make() for name, make in price_book.CATALOG.items()}
    tables["accounts/customers"] = accounts.customer_rows(found)
    tables["accounts/seller"] = accounts.seller_rows()
    tables["accounts/subscriptions"] = accounts.subscription_rows(found)
    tables["accounts/wallet_transactions"] = accounts.wallet_rows(found)
    tables["accounts/usage_corrections"] = accounts.correction_rows(found)
    for name, rows in tables.items():
        path = target / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files.csv_bytes(COLUMNS[name], rows))


def write_month(target: Path, month: str) -> None:
    """usage/YYYY-MM: several files, formats and senders, as it comes."""
    found = accounts.accounts()
    streams = traffic.traffic(found, month)
    folder = target / "usage" / month
    folder.mkdir(parents=True, exist_ok=True)
    in_time, late = flaws.take_late(month, streams["api"])
    half = len(in_time) // 2
    files.write_parquet(folder / "api-calls-1.parquet", in_time[:half])
    files.write_parquet(folder / "api-calls-2.parquet", in_time[half:])
    files.write_parquet(folder / "comms-messages.parquet", streams["messages"])
    files.write_parquet(folder / "platform-throughput.parquet", streams["throughput"])
    files.write_parquet(folder / "studio-activity.parquet", streams["studio"])
    is_windows = MONTHS.index(month) % 3 == 2
    archives, studios = flaws.by_sender(found, streams["restoration"])
    texts = {
        "comms-by-department.csv": files.events_csv(streams["departments"]),
        "comms-calls.csv.gz": files.packed(files.events_csv(streams["calls"])),
        "gateway-beta.jsonl": "".join(
            f"{line}\n" for line in flaws.broken_lines(month, streams)
        ).encode(),
        "gateway-replay.csv": files.events_csv(
            flaws.replayed(month, streams), from_windows=is_windows
        ),
        "platform-snapshots.jsonl.gz": files.packed(files.events_jsonl(streams["platform"])),
        "restoration.csv": files.events_csv(studios, from_windows=is_windows),
        "studio-commerce.jsonl.gz": files.packed(files.events_jsonl(streams["commerce"])),
    }
    scanning = next(one for one in found if one.segment == "studio-enterprise-tsukuba")
    pilots = flaws.unpriced(month, streams, scanning.customer_id)
    if pilots:
        texts["pilots.csv"] = files.events_csv(pilots)
    if month != flaws.WITHOUT_ARCHIVES:
        texts["archive-scans.csv"] = files.events_csv(archives)
    if late:
        texts["api-calls-late.csv"] = files.events_csv(late)
    for name, content in texts.items():
        (folder / name).write_bytes(content)


def main(arguments: Sequence[str]) -> None:
    """Writes everything below the given folder, by default the one of this file."""
    target = Path(arguments[0]) if arguments else Path(__file__).parent
    for name in ("catalog", "accounts", "usage"):
        shutil.rmtree(target / name, ignore_errors=True)
    write_reference(target)
    for month in MONTHS:
        write_month(target, month)


if __name__ == "__main__":
    main(sys.argv[1:])
