"""What people write instead: the same charges, from the same files, by other means.

Each module rates a month of the made-up company (``benchmarks/company.py``) as well as its means
allow: every event once by its id, bad rows left out, totals by customer and meter, every charge
exact. Its charges are compared with the pipeline's to the last digit; none of them makes ids,
texts, invoices, rejections or checks, which the pipeline does in its time.
"""
