"""dbt-spark with the settings of the profile, ANSI mode among them: an adapter of dbt's.

What belongs here: what dbt-spark has otherwise than the profile asks. What does not: the settings
(``dbt_project/profiles.yml``), the SQL (``dbt_project/macros/spark``), when Spark is called
(``rating/spark.py``).

dbt imports an adapter by its name from its own namespace ``dbt.adapters``, to which every folder of
the import path adds (``dbt/adapters/__init__.py`` of dbt-adapters): hence the folders around this
file. `rating/spark.py` puts ``spark_adapter`` on that path, for the process that runs Spark.
"""

from dataclasses import dataclass
from pathlib import Path

from dbt.adapters.base.plugin import AdapterPlugin
from dbt.adapters.spark import SparkAdapter, SparkConnectionManager, SparkCredentials


@dataclass
class AnsiSparkCredentials(SparkCredentials):
    """dbt-spark 1.11 switches ANSI mode off, whatever the profile says, and overflow would then
    give NULL instead of an error. The macro `spark__prepare_warehouse` refuses to run without ANSI
    mode, so if this has no effect in another release of dbt-spark, nothing is computed."""

    def __post_init__(self) -> None:
        given = {name: str(value) for name, value in self.server_side_parameters.items()}
        super().__post_init__()
        self.server_side_parameters.update(given)

    @property
    def type(self) -> str:
        return "ansispark"


class AnsiSparkConnectionManager(SparkConnectionManager):
    TYPE = "ansispark"


class AnsiSparkAdapter(SparkAdapter):
    """By its name, dbt finds the version of ``dbt.adapters.ansispark``."""

    ConnectionManager = AnsiSparkConnectionManager


# By `dependencies`, dbt-spark's macros and materializations are this adapter's, as are our macros
# `spark__…`.
Plugin = AdapterPlugin(
    adapter=AnsiSparkAdapter,
    credentials=AnsiSparkCredentials,
    include_path=str(Path(__file__).parent),
    dependencies=["spark"],
)
