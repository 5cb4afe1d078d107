"""Usage billing: from usage files to paid invoices, exact to the cent and sent once.

The rooms, in the order of the money: ``intake`` -> ``rating`` (dbt's models: ``dbt_project/``) ->
``collection`` -> ``published``. ``defs`` holds the thin Dagster shell around them, ``commands`` the
command line.
"""

import gc

# The lines of a large month are millions of objects that live until it is planned, and what is
# imported lives for ever. Looked through again at every 700 new ones, as Python does by itself,
# they cost a tenth of the month's time.
gc.set_threshold(100_000, 50, 100)
