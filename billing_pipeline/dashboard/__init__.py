"""The dashboard: a marimo app over the published database, for people who prefer pages to queries.

``app.py`` is the app; ``queries`` reads, ``charts`` plots, ``pages`` composes the pages. Nothing
here writes, or computes anything that the published tables do not contain.
"""
