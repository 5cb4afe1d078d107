"""Imported by the process that is forked (warm.py): what dbt makes of its own classes, made once.

What belongs here: the schemas by which dbt checks a project and a profile. It builds them from its
classes in every process anew, which takes a third of a second. What does not: reading a project.
"""

from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.contracts.project import Configuration, PackageConfig, Project, ProjectFlags

for checked in (Configuration, DuckDBCredentials, PackageConfig, Project, ProjectFlags):
    checked.json_schema()
