"""A simulator of people: seeded sequences of what people and systems change between closes.

What belongs here: made-up companies, edits of their inputs, what somebody does in Stripe by hand,
and what must be true after each step. What does not: faults (`tests/faults`), whose network and
clock are used, and what a price costs (`tests/property`), whose oracle rates the months.
"""
