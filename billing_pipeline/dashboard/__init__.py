"""The dashboard: a marimo app over the published database, for people who prefer pages to queries.

``app.py`` is the app, ``queries`` reads, ``charts`` plots, ``pages`` composes the pages that list
things. ``detail_queries`` and ``detail_pages`` do the same for one month, customer or invoice.
Nothing here writes, or computes anything that the published tables do not contain.
"""
