"""Who may read a home, tried as another user of the machine."""

from __future__ import annotations

import grp
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.commands.check import check_reference
from billing_pipeline.home import exposed, make_home, open_to_readers
from billing_pipeline.runs.instance import instance_home
from billing_pipeline.settings import InvalidSettingError, Settings
from tests.end_to_end.commands import EXAMPLES

NOBODY = 65534
# Any group that this user is not in by itself, or is: it only has to be there.
READERS = grp.getgrall()[-1]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    before = os.umask(0o022)
    yield folder
    os.umask(before)
    shutil.rmtree(folder)


def settings_of(home: Path, **more: str) -> Settings:
    data = str(EXAMPLES / "prepaid-wallet")
    return Settings.from_env({"BILLING_HOME": str(home), "BILLING_DATA_DIR": data} | more)


def as_other_user(act: Callable[[], object], groups: list[int]) -> bool:
    """Whether `act` succeeds for a user who owns nothing here."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            act()
            os._exit(0)
        except (OSError, duckdb.Error):
            os._exit(1)
        finally:
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1)
    return code == 0


def filled(settings: Settings) -> Path:
    """A home with a database to read, and something that nobody else may."""
    home = make_home(settings)
    for folder in ("records", "published"):
        (home / folder).mkdir(exist_ok=True)
    (home / "records" / "account.json").write_text("{}")
    with duckdb.connect(str(home / "published" / "billing.duckdb")) as database:
        database.execute("CREATE TABLE invoices AS SELECT 1 AS total")
    return home


def reads(home: Path) -> int:
    path = str(home / "published" / "billing.duckdb")
    with duckdb.connect(path, read_only=True) as database:
        [(total,)] = database.execute("FROM invoices").fetchall()
    return int(total)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("make", [make_home, instance_home])
def test_a_new_home_is_its_owners(place: Path, make: Callable[[Settings], Path]) -> None:
    settings = settings_of(place / "deep" / "home")
    make(settings)
    assert mode(settings.home) == 0o700
    assert list(exposed(settings)) == []


@as_root
def test_without_a_group_nobody_else_reads(place: Path) -> None:
    home = filled(settings_of(place / "home"))
    assert not as_other_user(lambda: list(home.iterdir()), [])
    assert not as_other_user((home / "records" / "account.json").read_bytes, [])
    assert not as_other_user(lambda: reads(home), [])


@as_root
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_readers_read_what_is_published_and_nothing_else(place: Path, umask: int) -> None:
    os.umask(umask)
    settings = settings_of(place / "home", BILLING_READERS_GROUP=READERS.gr_name)
    home = filled(settings)
    open_to_readers(settings)
    readers = [READERS.gr_gid]
    published = home / "published" / "billing.duckdb"
    assert as_other_user(lambda: reads(home), readers)
    assert not as_other_user(lambda: reads(home), [])
    assert not as_other_user(lambda: duckdb.connect(str(published)), readers)
    assert not as_other_user(published.unlink, readers)
    assert not as_other_user(lambda: list(home.iterdir()), readers)
    assert not as_other_user((home / "records" / "account.json").read_bytes, readers)
    assert list(exposed(settings)) == []


def test_a_home_that_others_can_read_is_named_by_check(place: Path) -> None:
    settings = settings_of(place / "home")
    filled(settings).chmod(0o755)
    _, hints = check_reference(settings)
    [(hint, [named])] = hints.items()
    assert hint.startswith("readable by other users of this machine")
    assert named == f"{settings.home} (drwxr-xr-x)"
    settings.home.chmod(0o700)
    assert check_reference(settings)[1] == {}


@as_root
def test_anything_else_that_readers_could_reach_is_named(place: Path) -> None:
    settings = settings_of(place / "home", BILLING_READERS_GROUP=READERS.gr_name)
    home = filled(settings)
    open_to_readers(settings)
    (home / "records").chmod(0o755)
    assert list(exposed(settings)) == [f"{home / 'records'} (drwxr-xr-x)"]
    make_home(settings)
    assert list(exposed(settings)) == []
    (home / "published").chmod(0o755)
    assert list(exposed(settings)) == [f"{home / 'published'} (drwxr-xr-x)"]
    make_home(settings)
    home.chmod(0o711)
    assert list(exposed(settings)) == [f"{home} (drwx--x--x)"]


def test_a_group_that_is_not_there_is_named(place: Path) -> None:
    settings = settings_of(place / "home", BILLING_READERS_GROUP="no-such-group")
    with pytest.raises(InvalidSettingError, match="'no-such-group' is not a group of this machine"):
        make_home(settings)
