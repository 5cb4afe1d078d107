"""A SQLite file of ours is made once, and made again where it is not what it should be."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from billing_pipeline.runs.sqlite_file import open_file, transaction

SCHEMA = """
create table if not exists things (name text primary key) strict;
create trigger if not exists things_stay before delete on things
begin select raise(abort, 'nothing is deleted'); end;
"""


class Making:
    """Makes the file, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, db: sqlite3.Connection) -> None:
        self.times += 1
        db.executescript(SCHEMA)


def open_and_close(path: Path, schema: str, make: Making) -> None:
    open_file(path, schema, synchronous="full", make=make).close()


def test_a_file_is_made_once(tmp_path: Path) -> None:
    path, make = tmp_path / "records" / "things.db", Making()
    for _ in range(3):
        open_and_close(path, SCHEMA, make)
    assert make.times == 1
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma journal_mode").fetchone() == ("wal",)


def test_another_release_makes_it_again(tmp_path: Path) -> None:
    path, make = tmp_path / "things.db", Making()
    for schema in (SCHEMA, f"{SCHEMA} -- new", SCHEMA):
        open_and_close(path, schema, make)
    assert make.times == 3


def test_a_trigger_that_somebody_dropped_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "things.db"
    with closing(open_file(path, SCHEMA, synchronous="full")) as db:
        db.execute("insert into things values ('a')")
    with closing(sqlite3.connect(path)) as somebody:
        somebody.execute("drop trigger things_stay")
    with closing(open_file(path, SCHEMA, synchronous="full")) as db:
        with pytest.raises(sqlite3.IntegrityError, match="nothing is deleted"):
            db.execute("delete from things")
        assert db.execute("select name from things").fetchall() == [("a",)]


@pytest.mark.parametrize(("synchronous", "number"), [("full", 2), ("normal", 1), ("off", 0)])
def test_how_safely_it_writes_is_of_the_connection(
    tmp_path: Path, synchronous: str, number: int
) -> None:
    open_file(tmp_path / "things.db", SCHEMA, synchronous="full").close()
    with closing(open_file(tmp_path / "things.db", SCHEMA, synchronous=synchronous)) as db:
        assert db.execute("pragma synchronous").fetchone() == (number,)


def test_any_other_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="full, normal or off, not 'FULL'"):
        open_file(tmp_path / "things.db", SCHEMA, synchronous="FULL")


def test_a_transaction_that_fails_writes_nothing(tmp_path: Path) -> None:
    with closing(open_file(tmp_path / "things.db", SCHEMA, synchronous="full")) as db:
        with pytest.raises(ZeroDivisionError), transaction(db):
            db.execute("insert into things values ('a')")
            raise ZeroDivisionError
        assert db.execute("select * from things").fetchall() == []
