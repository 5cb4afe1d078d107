"""Texts and hashes as Stripe takes them.

What belongs here: text without control characters, cut to a length, and short hashes of content.
What does not: which texts.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

LONGEST_DESCRIPTION = 500


# Made once: `json.dumps` would make it for each of a month's hashes.
_CANONICAL = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, sort_keys=True)


def canonical(content: Any) -> str:
    """The content as JSON, always written alike."""
    return _CANONICAL.encode(content)


def short_hash(content: Any) -> str:
    """The hash of the content as canonical JSON."""
    return hash_of(canonical(content))


def hash_of(text: str) -> str:
    """32 hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def clean_text(text: str, longest: int = LONGEST_DESCRIPTION) -> str:
    """Text as it may be shown: control characters, and marks that turn the direction of what
    follows, become spaces, and it is cut with an ellipsis."""
    # None of them is printable, and most texts are: that is known much sooner.
    shown = text if text.isprintable() else _STEERING.sub(" ", text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


# Unicode's control characters (Cc), surrogates (Cs), line and paragraph separators (Zl, Zp), and
# the marks that embed, override and isolate a direction.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
