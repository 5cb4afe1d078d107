"""From input files to the `raw` schema of a month's warehouse: what is read, what is wrong, and
why.

What belongs here: reading and checking the files of the data directory, and writing `raw`. What
does not: prices, amounts, deduplication and every rule that needs more than one usage row (dbt).
"""
