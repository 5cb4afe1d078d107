"""What sqlfluff's Jinja sees as dbt's `target`."""

name = "duckdb"
