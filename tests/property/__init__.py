"""The independent oracle of the contract, generated worlds, and the comparison of both pipelines.

Nothing in here may import `billing_pipeline` or read `dbt_project`, except `harness.py`, which
runs the pipeline: an oracle that shares code with what it judges finds nothing.
"""
