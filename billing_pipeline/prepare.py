"""``python -m billing_pipeline.prepare``: what an installation does once for all later starts.

What belongs here: byte code and the parsed dbt project, beside the code that they are made from.
What does not: anything of a home. Both are left alone once the files that they came from change:
the first start then does the work again, for itself.
"""

from __future__ import annotations

import compileall
from pathlib import Path

from billing_pipeline.rating.dbt_runner import parse_at_install


def main() -> None:
    compileall.compile_dir(Path(__file__).parent, quiet=1)
    parse_at_install()


if __name__ == "__main__":
    main()
