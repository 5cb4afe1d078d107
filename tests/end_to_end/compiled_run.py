"""``python -m tests.end_to_end.compiled_run COMMAND…``: `billing COMMAND…` without a run of dbt.

What belongs here: the command line, whose months are rated by the models as dbt compiles them. What
does not: how (compiled_models.py).
"""

from __future__ import annotations

from billing_pipeline.__main__ import program
from tests.compiled_models import take_the_place_of_dbt

if __name__ == "__main__":
    take_the_place_of_dbt()
    program()
