"""Running side by side: Dagster's instance and history, locks, which runs are alive, signals."""
