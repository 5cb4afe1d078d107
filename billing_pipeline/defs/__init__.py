"""The thin Dagster shell: an asset reads, calls one function, and says what it did."""
