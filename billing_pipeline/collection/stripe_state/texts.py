"""Texts and hashes as Stripe takes them.

What belongs here: text without control characters, cut to a length, and short hashes of content.
What does not: which texts.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

MAX_DESCRIPTION = 500

# Created once: `json.dumps` would create one for each hash of a month.
_CANONICAL = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, sort_keys=True)


def canonical(content: Any) -> str:
    """The content as JSON; the same content gives the same text."""
    return _CANONICAL.encode(content)


def short_hash(content: Any) -> str:
    """The hash of the content as canonical JSON."""
    return hash_of(canonical(content))


def hash_of(text: str) -> str:
    """32 hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def clean_text(text: str, longest: int = MAX_DESCRIPTION) -> str:
    """Text that is safe to show: control characters, and marks that change the direction of what
    follows, become spaces, and longer texts are cut with an ellipsis."""
    # None of these characters is printable, most texts are, and this check is much faster.
    shown = text if text.isprintable() else _STEERING.sub(" ", text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


# Unicode's control characters (Cc), surrogates (Cs), line and paragraph separators (Zl, Zp), and
# the marks that embed, override and isolate a direction.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
