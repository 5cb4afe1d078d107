"""The wheel: everything that the packages need is in it, and its commands work without a clone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.end_to_end.commands import ROOT, environment

SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "billing_pipeline", "dbt_project")
NOT_SOURCES = shutil.ignore_patterns("__pycache__", "target", "logs", ".user.yml", "sqlfluff")


def pip(*arguments: object) -> None:
    """pip, without a network and without a look for another version of itself."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone has, copied: setuptools leaves its folders beside what it builds."""
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, copy / name, ignore=NOT_SOURCES)
        else:
            shutil.copy(path, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", source, "--no-deps", "--no-build-isolation", "--no-index", "-w", folder)
    [built] = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel. What it depends on is borrowed from this process's:
    a path in a .pth file brings packages, and not the editable installation among them."""
    home = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    pip("--python", home, "install", "--no-deps", "--no-index", "--no-compile", wheel)
    [packages] = home.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return home


def files(folder: Path) -> Iterator[str]:
    return (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_every_file_of_the_packages_is_in_it(source: Path, wheel: Path) -> None:
    built = set(ZipFile(wheel).namelist())
    needed = {f"billing_pipeline/{name}" for name in files(source / "billing_pipeline")}
    needed |= {f"billing_pipeline/dbt_project/{name}" for name in files(source / "dbt_project")}
    assert needed - built == set()
    others = {name.partition("/")[0] for name in built - needed}
    assert {name.rpartition(".")[2] for name in others} == {"dist-info"}


@pytest.mark.slow
def test_its_commands_work_elsewhere_and_write_nothing_into_it(
    installed: Path, tmp_path: Path
) -> None:
    env = environment(tmp_path / "home", tmp_path / "data")
    env = {name: value for name, value in env.items() if name != "PYTHONPATH"}
    before = set(files(installed))

    def billing(*arguments: str) -> str:
        done = subprocess.run(
            [installed / "bin" / "billing", *arguments],
            cwd=tmp_path,
            env=env | {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "100"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    billing("init", str(tmp_path / "data"), "--example")
    # Two customers, six charges; the amount depends on the days of the month that ended last.
    assert "USD               2        6   " in billing("check")
    assert set(files(installed)) == before
