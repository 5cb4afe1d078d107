"""The lines of an invoice while it is put together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction


@dataclass
class Line:
    """Any line before tax. `off`: its share of the discounts so far."""

    kind: str
    source: str  # the subscription, adjustment or commitment that it comes from
    customer_id: str
    amount: Fraction
    name: str  # decides between equal remainders
    ends_at: int = 0  # of the service period
    price_id: str = ""
    tax_code: str = ""
    is_taxed: bool = True
    sold_in: str = ""  # of a fee that is given back: the month whose invoice charged it
    off: Fraction = Fraction(0)

    @property
    def net(self) -> Fraction:
        return self.amount - self.off


def name_of(prefix: str, text: str) -> str:
    """Of equal remainders of a discount the first by id have more, so ids are made as the pipeline
    makes them: hashes of what identifies a line."""
    return prefix + hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:24]
