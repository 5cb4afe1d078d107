"""The version that dbt asks every adapter for: that of dbt-spark."""

from dbt.adapters.spark.__version__ import version as version
