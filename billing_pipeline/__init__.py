"""Usage billing: from usage files to paid invoices, exact to the cent and sent once.

The rooms, in the order of the money: ``intake`` -> dbt (``dbt_project/``) -> ``invoicing`` ->
``stripe_api``. ``defs`` holds the thin Dagster shell around them, ``cli`` the terminal.
"""
