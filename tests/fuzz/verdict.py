"""What may come of one case: it was read, or refused in words; anything else is a problem."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

_INSIDE = re.compile(
    r"Traceback|ExceptionGroup|KeyError|TypeError|AttributeError|unhandled errors|INTERNAL Error"
)


@dataclass
class Case:
    """One case of one target. `made` says what was done to it, for whoever replays it."""

    target: str
    seed: int
    made: str = ""
    refused: str | None = None
    problems: list[str] = field(default_factory=list)

    def expect(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    @contextmanager
    def refusing(self, *errors: type[Exception], naming: str | None = None) -> Iterator[None]:
        """What is done here works, or ends with one of these errors, whose words name `naming`
        and nothing of the inside."""
        try:
            yield
        except errors as error:
            self.refused = str(error)
            self.expect(naming is None or naming in self.refused, f"names no {naming}: {error!s}")
            self.expect(not _INSIDE.search(self.refused), f"shows the inside: {error!s}")
        except Exception as error:  # noqa: BLE001  (anything else is a problem)
            self.problems.append(f"ends with {type(error).__name__}: {error}")

    def __str__(self) -> str:
        lines = [f"{self.target}, seed {self.seed}: {self.made}"]
        return "\n".join([*lines, *(f"    {problem[:500]!a}" for problem in self.problems)])


Target = Callable[[Case, Random, Path], None]
"""Plays one case in an empty folder; what is not as it should be goes into the case's problems."""
