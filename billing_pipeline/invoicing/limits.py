"""The operator's limits, from the environment.

What belongs here: reading and checking them. What does not: applying them (`plan.py`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from billing_pipeline.invoicing.plan import Limits
from billing_pipeline.settings import InvalidSettingError


def limits_from_env(environ: Mapping[str, str] | None = None) -> Limits:
    """`BILLING_MAX_INVOICE_TOTAL` (major units) and `BILLING_MAX_MONTH_CHANGE_PERCENT`.

    Not set: no limit. Raises `InvalidSettingError`.
    """
    env = os.environ if environ is None else environ
    return Limits(
        _positive(env, "BILLING_MAX_INVOICE_TOTAL"),
        _positive(env, "BILLING_MAX_MONTH_CHANGE_PERCENT"),
    )


def _positive(env: Mapping[str, str], name: str) -> Decimal | None:
    text = env.get(name, "").strip()
    if not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0:
        raise InvalidSettingError(f"{name} {text!r} is no number of 0 or more")
    return value
