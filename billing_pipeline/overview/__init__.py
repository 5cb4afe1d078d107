"""What a person asks first: which months are closed, what waits, is everything well.

What belongs here: `billing status | months | invoices`. What does not: running anything.
"""
