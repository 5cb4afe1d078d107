"""Inputs to the `raw` schema of a month's warehouse: what is read, what is wrong, and why.

What belongs in this package: reading files of the data directory, judging them, writing `raw`.
What does not: prices, amounts, deduplication and every rule that needs more than one usage row
(those are dbt's).
"""
