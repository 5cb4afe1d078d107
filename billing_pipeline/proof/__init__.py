"""The invoice that proves itself: one HTML file with its events and a calculator of its own.

`document` reads what an invoice was made of, `page` puts it into a file together with
`calculator.js`, which computes everything again where the reader is, and `page.js`, which shows it.
"""
