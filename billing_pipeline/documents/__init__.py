"""Documents for people: invoices and a month's close report as PDF and HTML, exports as CSV.

What belongs here: texts made from published rows, and their layout. What does not: computing any
billed amount, because a computed amount could differ from the billed one.
"""
