"""Stripe's errors: the exception that a handler raises and the body that the client gets.

What belongs here: the shapes and texts of errors that several rooms raise. What does not: when to
raise them.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

DOC_URL = "https://stripe.com/docs/error-codes/"


class ApiError(Exception):
    """An answer that is no success.

    `is_kept`: the answer is stored under the request's idempotency key (execution had begun).
    `keeps_changes`: what the handler wrote before stays, as with a declined card.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        is_kept: bool = True,
        keeps_changes: bool = False,
        headers: dict[str, str] | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.is_kept = is_kept
        self.keeps_changes = keeps_changes
        self.headers = headers or {}
        self.body: Json = {"type": kind, "message": message, **details}
        if code is not None:
            self.body["code"] = code
            self.body["doc_url"] = DOC_URL + code.replace("_", "-")
        if param is not None:
            self.body["param"] = param


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """400: the request cannot be carried out in the present state."""
    return ApiError(400, message, param=param, code=code)


def not_validated(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """400 before execution began: not stored under the idempotency key."""
    return ApiError(400, message, param=param, code=code, is_kept=False)


def missing_param(param: str) -> ApiError:
    return not_validated(f"Missing required param: {param}.", param, "parameter_missing")


def no_such(noun: str, item_id: str, param: str, *, in_path: bool = False) -> ApiError:
    """An id that names nothing: 404 in the path, 400 as a parameter."""
    status = 404 if in_path else 400
    return ApiError(status, f"No such {noun}: '{item_id}'", code="resource_missing", param=param)


def unsupported(what: str, param: str | None = None) -> ApiError:
    """What Stripe can do and the sandbox cannot: refused rather than left out in silence."""
    return not_validated(
        f"The sandbox does not support {what} (Stripe does).", param, "sandbox_unsupported"
    )


def declined(message: str, code: str, **details: Any) -> ApiError:
    """402: the card said no. What was noted about the try stays."""
    return ApiError(402, message, kind="card_error", code=code, keeps_changes=True, **details)
