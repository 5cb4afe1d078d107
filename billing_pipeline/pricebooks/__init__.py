"""Price books made from public lists of prices.

What belongs here: which rows of a catalogue say what a list says, and what they cannot say. What
does not: checking a catalogue (``intake.reference``), rating by it.
"""
