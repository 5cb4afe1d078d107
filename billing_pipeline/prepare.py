"""``python -m billing_pipeline.prepare``: what an installation does once for all later starts.

What belongs here: byte code, the parsed dbt project and the views of its reports, beside the code
that they are made from. What does not: anything of a home. All are left alone once the files that
they came from change: the first start then does the work again, for itself.
"""

from __future__ import annotations

import compileall
from pathlib import Path

from billing_pipeline.published.template import template_database
from billing_pipeline.rating.dbt_runner import parse_at_install
from billing_pipeline.settings import Settings


def main() -> None:
    compileall.compile_dir(Path(__file__).parent, quiet=1)
    parse_at_install()
    template_database(Settings.from_env({}))


if __name__ == "__main__":
    main()
