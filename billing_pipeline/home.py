"""Who may read ``BILLING_HOME``: its owner, and what is published also a group of readers.

What belongs here: making the home, its permissions, and saying where they are too wide. What does
not: what lies in it.

A folder that others may not enter keeps from them whatever lies below it, with whatever
permissions that was written. So the home is such a folder. For readers it can be walked through,
not listed, and what lies in it beside ``published/`` is closed by itself.
"""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from billing_pipeline.settings import InvalidSettingError, Settings

_OTHERS_MODE = stat.S_IRWXG | stat.S_IRWXO


def make_home(settings: Settings) -> Path:
    """The home, made for its owner alone if it is not there; what is there stays as it is. With
    `BILLING_READERS_GROUP` that group is let through to what is published.

    Raises OSError where it cannot be made, `InvalidSettingError` where there is no such group or
    the user is not in it.
    """
    if not settings.home.is_dir():
        settings.home.parent.mkdir(parents=True, exist_ok=True)
        settings.home.mkdir(mode=0o700, exist_ok=True)
    if settings.readers_group is not None:
        open_to_readers(settings)
    return settings.home


def open_to_readers(settings: Settings) -> None:
    """Let `BILLING_READERS_GROUP` read what is published, and nothing else; without the setting
    nothing is done. Raises `InvalidSettingError` and OSError."""
    name = settings.readers_group
    if name is None:
        return
    group = _group_id(name)
    home, published = settings.home, settings.published_dir
    # Closed before the home is opened.
    for entry in home.iterdir():
        if entry != published and not entry.is_symlink():
            _give(entry, None, stat.S_IMODE(entry.stat().st_mode) & ~_OTHERS_MODE)
    try:
        published.mkdir(mode=0o700, exist_ok=True)
        for folder, _, files in os.walk(published):
            _give(Path(folder), group, 0o2750)
            for file in files:
                _give(Path(folder, file), group, 0o640)
        _give(home, group, 0o710)
    except PermissionError as error:
        raise InvalidSettingError(
            f"BILLING_READERS_GROUP {name}: {error.filename or home} cannot be given to that "
            f"group: {error.strerror}; is the user of the services in it? (usermod -aG)"
        ) from error


def exposed(settings: Settings) -> Iterator[str]:
    """What in the home others than its owner, and the readers of what is published, can read or
    change; each with its permissions. Nothing where the home keeps them out."""
    home = settings.home
    if not home.is_dir():
        return
    readers = None if settings.readers_group is None else _group_id(settings.readers_group)
    info = home.stat()
    if not info.st_mode & _OTHERS_MODE:
        return
    if readers is None or info.st_gid != readers or info.st_mode & (_OTHERS_MODE & ~0o010):
        yield _shown(home, info.st_mode)
        return
    for entry in sorted(home.iterdir()):
        mode = entry.lstat().st_mode
        allowed = 0o050 if entry == settings.published_dir else 0
        if not stat.S_ISLNK(mode) and mode & _OTHERS_MODE & ~allowed:
            yield _shown(entry, mode)


def _shown(path: Path, mode: int) -> str:
    return f"{path} ({stat.filemode(mode)})"


def _group_id(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise InvalidSettingError(
            f"BILLING_READERS_GROUP {name!r} is not a group of this machine"
        ) from None


def _give(path: Path, group: int | None, mode: int) -> None:
    """To a group, with these permissions, where that is not so already; what another process has
    deleted meanwhile needs none."""
    try:
        info = path.stat()
        if group is not None and info.st_gid != group:
            os.chown(path, -1, group)
        if stat.S_IMODE(info.st_mode) != mode or (group is not None and info.st_gid != group):
            path.chmod(mode)
    except FileNotFoundError:
        return
