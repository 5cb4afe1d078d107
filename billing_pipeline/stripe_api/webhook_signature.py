"""Did Stripe send this webhook, and just now? Stripe's SDK checks that for one secret at a time.

What belongs here: checking it for each secret. What does not: receiving a webhook
(``collection.pull.receiver``).
"""

from __future__ import annotations

from collections.abc import Sequence

from stripe import SignatureVerificationError, Webhook, WebhookSignature

HEADER = "Stripe-Signature"


class BadSignatureError(ValueError):
    """The request did not come from Stripe, or it may be a replay; the message says why."""


def verify(body: bytes, header: str | None, secrets: Sequence[str]) -> None:
    """Raise `BadSignatureError` unless one of the secrets signed `body` in the last five minutes.

    Several secrets are valid at the same time while one replaces another.
    """
    reasons = []
    for secret in secrets:
        try:
            WebhookSignature.verify_header(body, header, secret, Webhook.DEFAULT_TOLERANCE)
        except SignatureVerificationError as error:
            reasons.append(str(error))
        except (UnicodeDecodeError, TypeError):  # the body or the signature is not text
            reasons.append("The signature or the body has characters that Stripe does not send")
        else:
            return
    raise BadSignatureError("; ".join(dict.fromkeys(reasons)))
