"""The proof as one HTML file.

What belongs here: putting data, calculator and page together so that data stays data. What does
not: what is in the proof (``document``).

The file loads nothing: its policy allows the one script that it contains, by its digest, and no
request. The data is JSON in which no character can end the element that holds it.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_STYLE = """
:root { --ink: #1c2430; --quiet: #5d6875; --line: #d5dae0; }
* { box-sizing: border-box; }
body { margin: 0; background: #f1f3f5; color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
main { background: #fff; max-width: 60rem; margin: 1.5rem auto; padding: 2rem;
  overflow-wrap: anywhere; unicode-bidi: isolate; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .5rem; }
h4 { margin: .8rem 0 .2rem; }
.small, .quiet { color: var(--quiet); font-size: .88rem; }
.verdict { padding: .7rem 1rem; border-radius: 4px; }
.good { background: #e3f3e8; color: #1c6b36; } .bad { background: #fbe4e1; color: #a02b20; }
span.good, span.bad { padding: 0 .4rem; border-radius: 3px; font-size: .85rem; }
details { border-bottom: 1px solid var(--line); padding: .4rem 0; }
summary { cursor: pointer; display: flex; justify-content: space-between; gap: 1rem; }
.amounts { white-space: nowrap; text-align: right; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; }
th { text-align: left; color: var(--quiet); font-weight: 400; }
th, td { padding: .15rem .9rem .15rem 0; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { white-space: pre-wrap; background: #f6f7f9; padding: .6rem; }
@media (max-width: 640px) { main { padding: 1rem; margin: 0; } summary { flex-wrap: wrap; } }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main id="page"><p>This page computes the invoice in your browser. It needs JavaScript.</p></main>
<script type="application/json" id="proof">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def page(proof: Mapping[str, Any]) -> str:
    """The file's text."""
    script = "\n".join(_source(name) for name in ("calculator.js", "page.js"))
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(_STYLE)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    return _PAGE.format(
        policy=html.escape(policy),
        title=html.escape(f"Invoice {proof['invoice']['invoice_id']}"),
        style=_STYLE,
        data=_embedded_json(proof),
        script=script,
    )


def _embedded_json(data: Mapping[str, Any]) -> str:
    """JSON in ASCII that contains no markup."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _source(name: str) -> str:
    return files("billing_pipeline.proof").joinpath(name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
