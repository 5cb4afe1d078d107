"""Shadow mode: compares another system's bills with ours, and gives each difference its cause.

Step by step: `their_file`, `their_stripe` and `our_month` read both sides, `matching` pairs their
lines, `causes` explains a pair, `invoices` compares a customer's month, `comparison` all customers.
"""
