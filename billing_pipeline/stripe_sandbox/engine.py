"""The sandbox itself: one request in, one answer out.

What belongs here: everything that all requests share: credentials, rate limits, idempotency keys,
validation, one transaction each. What does not: the handlers (`invoices.py` and the others) and
HTTP (`server.py`).
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import stripe

from billing_pipeline.stripe_sandbox import (
    charges,
    clocks,
    collecting,
    credit_notes,
    customers,
    lines,
    payment_records,
    payments,
    payouts,
    reading,
    tax_ids,
)
from billing_pipeline.stripe_sandbox.answers import finished
from billing_pipeline.stripe_sandbox.clocks import run_clock
from billing_pipeline.stripe_sandbox.context import CLOCK, PREFIXES, Call, Route, find_route
from billing_pipeline.stripe_sandbox.errors import ApiError, InvalidParamsError
from billing_pipeline.stripe_sandbox.invoices import run_due
from billing_pipeline.stripe_sandbox.others import add_others
from billing_pipeline.stripe_sandbox.rules import require_compatible
from billing_pipeline.stripe_sandbox.store import Store
from billing_pipeline.stripe_sandbox.validation import check
from billing_pipeline.stripe_sandbox.wire import Response, decode_form, encode

Json = dict[str, Any]

_HEADERS: dict[int, dict[str, str]] = {
    **{status: {"Stripe-Should-Retry": "false"} for status in (400, 401, 402, 403, 404)},
    409: {"Stripe-Should-Retry": "true"},
    429: {"Stripe-Rate-Limited-Reason": "global-rate"},
}
"""Headers of errors, by status."""
_ACCOUNT = re.compile(r"acct_[A-Za-z0-9]{4,40}")
KEY_LIFETIME = 86_400
"""Seconds after which Stripe forgets an idempotency key."""
MAX_KEY_LENGTH = 255
HANDLERS = (
    *(charges, clocks, credit_notes, customers, lines, payment_records, payments, payouts),
    *(reading, tax_ids),
)
"""Importing these modules registers their routes."""


@dataclass(frozen=True)
class Rates:
    """Requests per second: in total, and for each endpoint."""

    total: int = 25
    endpoint: int = 25


class Sandbox:
    """Stripe's server side, as far as this project uses it.

    `path`: the SQLite file, or None for memory. `clock` returns the time in epoch seconds. `rates`
    switches rate limits on. Search lags `search_lag` seconds behind, and the account's lists lag
    `list_lag` seconds, although Stripe documents no lag for them. A new account also has objects
    that others made, unless `others` is false. Several processes may use one file at the same time.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
        rates: Rates | None = None,
        search_lag: float = 60.0,
        list_lag: float = 0.0,
        others: bool = True,
        account: str = "acct_sandbox",
    ) -> None:
        self.clock = clock
        self.rates = rates
        self.search_lag = search_lag
        self.list_lag = list_lag
        self._store = Store(path)
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        # Request ids of two processes must differ. In memory there is only one process, and tests
        # compare the ids.
        self._origin = "" if path is None else secrets.token_hex(4)
        self._recent: dict[str, deque[float]] = {}
        self._path = path
        self._account = account
        self._others = others
        self._connected: dict[str, Sandbox] = {}
        if others:
            with self._store.transaction(write=True):
                if self._store.is_new:
                    add_others(self._store, self.clock())

    def close(self) -> None:
        with self._lock:
            self._store.close()
        for sandbox in self._connected.values():
            sandbox.close()

    def connected(self, account: str) -> Sandbox:
        """The sandbox of a connected account, which a platform's key can use (`Stripe-Account`)."""
        with self._lock:
            if account not in self._connected:
                path = self._path and self._path.with_stem(f"{self._path.stem}-{account}")
                lags = {"search_lag": self.search_lag, "list_lag": self.list_lag}
                more: dict[str, Any] = {"rates": self.rates, **lags}
                self._connected[account] = Sandbox(
                    path, clock=self.clock, others=self._others, account=account, **more
                )
            return self._connected[account]

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: str) -> Response:
        """Answer one request. `target` is the path with its query; `body` is form-encoded."""
        names = {name.lower(): value for name, value in headers.items()}
        account = names.get("stripe-account", self._account)
        if account != self._account and _ACCOUNT.fullmatch(account):
            return self.connected(account).handle(method, target, headers, body)
        with self._lock:
            request_id = f"req_{self._origin}{next(self._numbers):08}"
            answer = {
                "Content-Type": "application/json",
                "Request-Id": request_id,
                "Stripe-Version": names.get("stripe-version", stripe.api_version),
            }
            key = names.get("idempotency-key") if method.upper() == "POST" else None
            if key is not None:
                answer["Idempotency-Key"] = key
            try:
                self._admit(method, target, names)
                ids = {"request_id": request_id, "version": answer["Stripe-Version"]}
                status, content, more = self._answer(method.upper(), target, body, key, **ids)
            except ApiError as error:
                status, content, more = error.status, encode(error.answer(request_id)), {}
            return Response(status, answer | _HEADERS.get(status, {}) | more, content)

    def save_answer(
        self, method: str, target: str, key: str, body: str, status: int, content: Json
    ) -> None:
        """Save an answer under a key, as Stripe saves its own 500s: for fault injection."""
        fingerprint = _fingerprint(method.upper(), target.partition("?")[0], decode_form(body))
        with self._lock, self._store.transaction(write=True):
            self._store.save_answer(key, self.clock(), fingerprint, status, encode(content))

    # Actions that the API does not offer.
    def open_dispute(
        self, charge_id: str, amount: int | None = None, *, reason: str = "fraudulent"
    ) -> str:
        """A customer disputes a charge at their bank; returns the dispute's id."""
        with self._acting() as call:
            return str(charges.open_dispute(call, charge_id, amount, reason)["id"])

    def close_dispute(self, dispute_id: str, *, won: bool) -> None:
        with self._acting() as call:
            charges.close_dispute(call, dispute_id, won=won)

    def fail_payout(self, payout_id: str) -> None:
        """The bank sends a payout back."""
        with self._acting() as call:
            payouts.fail(call, payout_id)

    def authenticate(self, intent_id: str, *, succeeds: bool = True) -> None:
        """A customer confirms a payment by 3-D Secure, or fails to."""
        with self._acting() as call:
            if call.get("payment_intent", intent_id)["status"] != "requires_action":
                raise ApiError("This PaymentIntent does not wait for the customer.")
            collecting.settle_intent(call, intent_id, is_confirmed=succeeds)

    @contextmanager
    def _acting(self) -> Iterator[Call]:
        with self._lock:
            self._run_due()
            with self._store.transaction(write=True):
                yield Call(self._store, self.clock(), {})

    def _admit(self, method: str, target: str, headers: Mapping[str, str]) -> None:
        token = _key_in(headers.get("authorization", ""))
        if not token.startswith(("sk_test_", "rk_test_")):
            shown = f"{token[:8]}****" if token else "(none)"
            raise ApiError(f"Invalid API Key provided: {shown}", status=401)
        if headers.get("stripe-account", self._account) != self._account:
            text = "The provided key does not have access to the account that Stripe-Account names."
            raise ApiError(text, status=403, code="account_invalid")
        if len(headers.get("idempotency-key", "")) > MAX_KEY_LENGTH:
            text = f"The idempotency key is longer than {MAX_KEY_LENGTH} characters"
            raise ApiError(text, kind="idempotency_error")
        if self.rates is not None:
            parts = target.partition("?")[0].split("/")
            endpoint = " ".join([method, *parts[2:3], *parts[4:5]])
            self._count("", self.rates.total)
            self._count(endpoint, self.rates.endpoint)

    def _count(self, name: str, most: int) -> None:
        now, recent = self.clock(), self._recent.setdefault(name, deque())
        while recent and recent[0] <= now - 1:
            recent.popleft()
        if len(recent) >= most:
            text = "Request rate limit exceeded. Learn more about rate limits in Stripe's docs."
            raise ApiError(text, status=429, code="rate_limit")
        recent.append(now)

    def _answer(
        self, method: str, target: str, body: str, key: str | None, **about: str
    ) -> tuple[int, bytes, dict[str, str]]:
        path, _, query = target.partition("?")
        given = decode_form(body if method == "POST" else query)
        found, ids = find_route(method, path)
        self._run_due()
        with self._store.transaction(write=method != "GET"):
            now = self.clock()
            fingerprint = _fingerprint(method, path, given)
            if key is not None:
                saved = self._store.saved_answer(key, now - KEY_LIFETIME)
                if saved is not None:
                    return self._replay(key, fingerprint, saved)
            params = check(found.params, given)
            require_compatible(found.params, params)
            call = Call(
                self._store,
                now,
                params,
                key=key,
                **about,
                search_lag=self.search_lag,
                list_lag=self.list_lag,
                account=self._account,
            )
            status, content = self._carry_out(call, found, ids)
            if key is not None:
                self._store.delete_answers(now - KEY_LIFETIME)
                self._store.save_answer(key, now, fingerprint, status, content)
            return status, content, {}

    def _carry_out(self, call: Call, found: Route, ids: list[str]) -> tuple[int, bytes]:
        call.require_supported(found.supported)
        refusal: ApiError | None = None
        try:
            with self._store.part(), suppress(_CommittedError):
                try:
                    return 200, encode(finished(call, found.handler(call, *ids)))
                except ApiError as error:
                    refusal = error
                    if not error.commits_changes:
                        raise
                    raise _CommittedError from None
        except InvalidParamsError:
            raise
        except ApiError as error:
            refusal = error
        assert refusal is not None
        return refusal.status, encode(refusal.answer(call.request_id))

    def _replay(
        self, key: str, fingerprint: str, saved: tuple[str, int, bytes]
    ) -> tuple[int, bytes, dict[str, str]]:
        if saved[0] != fingerprint:
            text = (
                "Keys for idempotent requests can only be used with the same parameters they were "
                f"first used with. Try using a key other than '{key}' if you meant to execute a "
                "different request."
            )
            raise ApiError(text, kind="idempotency_error")
        return saved[1], saved[2], {"Idempotent-Replayed": "true"}

    def _run_due(self) -> None:
        """Do everything that Stripe would have done by itself until now."""
        now = self.clock()
        # Doing one thing may make another due.
        while self._store.due(now):
            with self._store.transaction(write=True):
                for object_id, at in self._store.due(now):
                    if object_id.startswith(PREFIXES[CLOCK]):
                        run_clock(self._store, object_id, at)
                    else:
                        run_due(Call(self._store, at, {}), object_id)


class _CommittedError(Exception):
    """Ends a handler whose changes are committed although its answer is an error."""


def _key_in(authorization: str) -> str:
    """The API key, sent as a bearer token or as the user name of basic authentication."""
    scheme, _, token = authorization.partition(" ")
    if scheme == "Basic":
        with suppress(ValueError):
            return base64.b64decode(token, validate=True).decode("ascii").partition(":")[0]
    return token if scheme == "Bearer" else ""


def _fingerprint(method: str, path: str, params: Json) -> str:
    text = json.dumps([method, path, params], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
