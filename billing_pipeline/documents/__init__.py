"""Documents for people: invoices and a month's close report as PDF and HTML, exports as CSV.

What belongs here: what is said of published rows, and how it looks. What does not: computing
anything that is billed; a document that computes could differ from what was billed.
"""
