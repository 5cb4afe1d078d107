"""``records/``: what a billing home must not lose, and one holder of it at a time."""
