"""The Stripe account that a BILLING_HOME belongs to.

What belongs here: storing the account at the first use and refusing any other. What does not: keys;
only the account's id and mode are stored. Without this, a home of test mode that is used in live
mode would find nobody billed yet.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from billing_pipeline.durable import replacing
from billing_pipeline.stripe_api.client import StripeGateway
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure, unreadable_answer

_ID = re.compile(r"[A-Za-z0-9_-]{2,100}")
_NAMED = re.compile(r"on account '(acct_[A-Za-z0-9]+)'")


class WrongAccountError(RuntimeError):
    """The key belongs to another account, or another mode, than the one that this home was first
    used with; or the file that names that account is damaged."""


async def require_account(gateway: StripeGateway, records: Path) -> str:
    """The id of the account that the key opens, remembered in ``records/account.json``.

    Raises `WrongAccountError` where another was remembered.
    """
    if gateway.account_id is None:
        gateway.account_id = await _account_of(gateway)
    found = {"account_id": gateway.account_id, "live": gateway.config.is_live}
    path = records / "account.json"
    remembered = _remembered(path)
    if remembered is None:
        _remember(path, found)
        return gateway.account_id
    if remembered != found:
        raise WrongAccountError(
            f"this BILLING_HOME belongs to Stripe account {_name(remembered)}, and the key opens "
            f"{_name(found)}: use that account's key, or another BILLING_HOME"
        )
    return gateway.account_id


async def _account_of(gateway: StripeGateway) -> str:
    try:
        answer = await gateway.get("/v1/account")
    except StripeFailure as failure:
        # A restricted key may not be allowed to read the account, and the dashboard does not always
        # offer that permission. Stripe's refusal names the account, which is all that we need.
        named = _NAMED.search(failure.message) if failure.status == 403 else None
        if named is None:
            if failure.kind is FailureKind.CREDENTIALS:
                failure.message += " (a restricted key must be allowed to read the account)"
            raise
        return named[1]
    account_id = str(answer["id"])
    if not _ID.fullmatch(account_id):
        # If it were stored, every key would be refused from then on.
        raise unreadable_answer(f"{account_id[:60]!a} is not an account id")
    return account_id


def _remembered(path: Path) -> dict[str, object] | None:
    """The stored account; None where there is none yet. Raises `WrongAccountError` where the file
    is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise WrongAccountError(
            f"{path} is damaged: put it back from the backup of records/. It says which Stripe "
            "account this BILLING_HOME belongs to; with the key of that account you may also "
            "delete it"
        )
    return found


def _remember(path: Path, found: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Half a file would refuse every key from then on.
    with replacing(path) as draft:
        draft.write_text(json.dumps(found), encoding="utf-8")


def _name(account: dict[str, object]) -> str:
    return f"{account.get('account_id')} ({'live' if account.get('live') else 'test'} mode)"
