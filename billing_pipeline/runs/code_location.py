"""The name of our code location, under which the Dagster UI files jobs and runs."""

CODE_LOCATION = "billing_pipeline.definitions"
"""The same as in ``workspace.yaml`` and `dagster dev -m billing_pipeline.definitions`."""
