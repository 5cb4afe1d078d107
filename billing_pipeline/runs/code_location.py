"""The name of our code location, under which the Dagster UI files jobs and runs."""

CODE_LOCATION = "billing_pipeline.definitions"
"""As ``workspace.yaml`` and `dagster dev -m billing_pipeline.definitions` name it."""
