"""Rating a month: a fresh warehouse, the inputs in it, and dbt's models on top."""
