"""The dashboard as an ASGI application.

What belongs here: handing ``app.py`` to marimo. What does not: pages, and who may request them
(``web.own_pages``), because marimo's application answers requests from every origin.
"""

from __future__ import annotations

from pathlib import Path

import marimo
from starlette.types import ASGIApp


def application() -> ASGIApp:
    """The dashboard at ``/``."""
    notebook = Path(__file__).with_name("app.py")
    app: ASGIApp = marimo.create_asgi_app(quiet=True).with_app(path="", root=str(notebook)).build()
    return app
