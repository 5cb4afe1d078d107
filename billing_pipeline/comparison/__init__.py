"""Shadow mode: what another system billed beside what we bill, each difference with its cause.

The way through: `their_file` and `our_month` read both sides, `matching` pairs their lines,
`causes` explains a pair, `invoices` puts an invoice together, `comparison` the month.
"""
