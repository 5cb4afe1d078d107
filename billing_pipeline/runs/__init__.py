"""Runs beside one another: Dagster's instance, who holds a month, which runs are alive, signals."""
