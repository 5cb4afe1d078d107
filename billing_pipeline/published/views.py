"""The published database: one file of views over the current Parquet files of all months.

What belongs here: building it. What does not: the files (``export``), and putting it in the place
where readers open it (``publish``).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from billing_pipeline.duckdb_sql import glob_literal, sql_name, sql_text
from billing_pipeline.durable import fsync
from billing_pipeline.published.export import no_rows
from billing_pipeline.published.manifest import Manifest, PublishError
from billing_pipeline.published.tables import Published, Table
from billing_pipeline.published.template import comments

SIMULATIONS = "simulation_changes"

# Separates the paths of a list, which have no empty components.
_NEXT_FILE = "//\n"


def build_database(
    connection: duckdb.DuckDBPyConnection,
    published: Published,
    manifest: Manifest,
    template: Path,
) -> Path:
    """Build a new database beside the one that readers use, closed and on the disk. It begins as a
    copy of the `template`, which has the views of reports and questions."""
    root = manifest.root
    path = root / "billing.duckdb.new"
    path.with_name(path.name + ".wal").unlink(missing_ok=True)
    shutil.copyfile(template, path)
    tables = published.tables
    queries = {name: _view_query(manifest, name, table) for name, table in tables.items()}
    try:
        connection.execute(f"ATTACH {sql_text(str(path))} AS billing")
        connection.execute("USE billing")
        for statements in (_views(queries), comments(tables)):
            with _at_once(connection):
                connection.execute(statements)
        connection.execute("CHECKPOINT")
        connection.execute("USE memory")
        connection.execute("DETACH billing")
    except duckdb.Error as error:
        raise PublishError(
            f"cannot build the views over {root}: {error}. Delete the file that is damaged, and "
            "run its month again"
        ) from error
    fsync(path)
    return path


@contextmanager
def _at_once(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """One transaction, all or nothing. With a transaction for each of the hundreds of comments,
    waiting for the disk would take longer than the rest of a publication."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _views(queries: Mapping[str, str]) -> str:
    return "; ".join(f"CREATE VIEW {sql_name(name)} AS {query}" for name, query in queries.items())


def _view_query(manifest: Manifest, name: str, table: Table) -> str:
    """The query of one table's view; without rows if nothing of the table has been published.

    There is one scan for each distinct list of columns, normally one in all, and DuckDB opens only
    one file of a scan to bind the view, however many months there are. A query opens them all, so
    files without rows are left out. If a release added a column, older months show NULL there.
    """
    root = manifest.root
    if name == SIMULATIONS:
        files = [str(path) for path in sorted((root / "simulations").glob("*.parquet"))]
        return _scan(files) if files else no_rows(table.columns)
    scans: dict[int, list[str]] = {}
    for tables in manifest.all_tables():
        if name in tables and tables[name].get("rows") != 0:
            entry = tables[name]
            scans.setdefault(entry["layout"], []).append(f"{root}/{entry['file']}")
    parts = [_scan(files) for files in scans.values()]
    columns = [column.name for column in table.columns]
    if [[column for column, _ in manifest.layouts[layout]] for layout in scans] != [columns]:
        # All of today's columns first, in today's order.
        parts = [no_rows(table.columns), *parts]
    return " UNION ALL BY NAME ".join(parts)


def _scan(paths: Sequence[str]) -> str:
    """A query that reads all these files; no character of a path is a wildcard.

    The list is written as one text, because DuckDB copies a view for each comment on one of its
    columns, and would copy a list of all months element by element.
    """
    listed = _NEXT_FILE.join(glob_literal(path) for path in paths)
    files = f"string_split({sql_text(listed)}, {sql_text(_NEXT_FILE)})"
    return f"SELECT * FROM read_parquet({files})"
