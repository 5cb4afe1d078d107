"""The dashboard: a marimo app over the published database, for people who look rather than query.

``app.py`` is the app; ``queries`` reads, ``charts`` plots, ``pages`` puts pages together. Nothing
here writes, and nothing is computed that the published tables do not say.
"""
