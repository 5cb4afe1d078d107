"""What people write instead: the same month, from the same files, by other means.

Each module rates a month of the made-up company (``benchmarks/company.py``) as well as its means
allow: every event once by its id, bad rows set aside with file, row and reason, totals by customer
and meter, every charge exact, with its id, tiers, text and calculation, lines, and invoices with
their totals (``output.py``). Every value is compared with the pipeline's.
"""
