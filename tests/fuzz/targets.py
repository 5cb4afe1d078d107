"""Every target, and playing one case of it in a folder of its own."""

from __future__ import annotations

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.fuzz import inputs, outside
from tests.fuzz.verdict import Case, Target

TARGETS: dict[str, Target] = {
    "usage cells": inputs.usage_cells,
    "usage bytes": inputs.usage_bytes,
    "price book and accounts": inputs.price_book_and_accounts,
    "special files": inputs.special_files,
    "settings": inputs.settings,
    "webhooks": outside.webhooks,
    "answers of Stripe": outside.answers,
}


def play(target: str, seed: int) -> Case:
    """One case; whatever its target ends with is a problem of it."""
    case = Case(target, seed)
    with TemporaryDirectory(prefix="billing-") as folder:
        try:
            TARGETS[target](case, Random(f"{target} {seed}"), Path(folder))
        except Exception as error:  # noqa: BLE001  (a case that ends with anything is told)
            case.problems.append(f"{type(error).__name__}: {error}")
    return case
