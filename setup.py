"""What pyproject.toml cannot say: dbt's project, which stands beside the package in a clone, is
inside it in a wheel. ``settings.dbt_project_dir`` finds it in both places."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["billing_pipeline*"]), "billing_pipeline.dbt_project"],
    package_dir={"billing_pipeline.dbt_project": "dbt_project"},
)
