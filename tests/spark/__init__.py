"""Metering on Spark beside metering in DuckDB: ``make spark-test``. Not part of the suite: it needs
the packages of requirements-spark.txt and Java 17."""
