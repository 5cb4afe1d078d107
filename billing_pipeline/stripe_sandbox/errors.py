"""Stripe's error answers.

What belongs here: the exceptions that handlers raise, and the bodies they become. What does not:
deciding whether an answer is saved under an idempotency key (`engine.py`).
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """An answer that is not a success.

    `commits_changes`: changes made until then are committed, as with a declined card.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        commits_changes: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.commits_changes = commits_changes
        error: Json = {"type": kind, "message": message}
        if code is not None:
            page = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
            error |= {"code": code, "doc_url": page}
        error |= {} if param is None else {"param": param}
        self.body: Json = {"error": error | more}

    def answer(self, request_id: str) -> Json:
        """The body as the answer to a request."""
        log = f"https://dashboard.stripe.com/acct_sandbox/test/workbench/logs?object={request_id}"
        return {"error": {**self.body["error"], "request_log_url": log}}


class InvalidParamsError(ApiError):
    """Refused before anything was done, so never saved under an idempotency key."""


def missing(kind: str, object_id: str, param: str = "id") -> ApiError:
    """No object has that id: 404 if the path names it, 400 if a parameter does."""
    status = 404 if param == "id" else 400
    text = f"No such {kind.replace('_', ' ')}: '{object_id}'"
    return ApiError(text, status=status, code="resource_missing", param=param)


def unsupported(param: str) -> ApiError:
    """Stripe supports the parameter and the sandbox does not, so it refuses the request."""
    text = f"The sandbox does not support the parameter '{param}'"
    return InvalidParamsError(text, code="parameter_unknown", param=param)
