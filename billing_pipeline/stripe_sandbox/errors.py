"""Stripe's error answers.

What belongs here: the exception that a handler raises and the body it becomes. What does not:
deciding whether an answer is kept under an idempotency key (`idempotency.py`).
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """An answer that is no success.

    `keeps_changes`: what was done until then stays, as with a declined card.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        keeps_changes: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.keeps_changes = keeps_changes
        error: Json = {"type": kind, "message": message}
        error |= {} if code is None else {"code": code}
        error |= {} if param is None else {"param": param}
        self.body: Json = {"error": error | more}


class InvalidParamsError(ApiError):
    """Refused before anything was carried out: never kept under an idempotency key."""


def missing(kind: str, object_id: str, param: str = "id") -> ApiError:
    """No object of that id: 404 where the path names it, 400 where a parameter does."""
    status = 404 if param == "id" else 400
    text = f"No such {kind.replace('_', ' ')}: '{object_id}'"
    return ApiError(text, status=status, code="resource_missing", param=param)


def unsupported(param: str) -> ApiError:
    """Stripe would take it, the sandbox does not: said aloud, never ignored."""
    text = f"The sandbox does not support the parameter '{param}'"
    return InvalidParamsError(text, code="sandbox_unsupported", param=param)
