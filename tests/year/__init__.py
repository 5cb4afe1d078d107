"""A year by the clock: what the daemon does in twelve months, on a clock that the test moves.

What belongs here: the clock, a small company whose files come and change by the calendar, its
customers' acts in Stripe, the daemon's ticks, the diary, and what must be true at the end. What
does not: what a price costs (`tests/property`), and sequences of chance (`tests/changes`).
"""
