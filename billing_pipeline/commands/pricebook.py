"""`billing pricebook`: a price book made from a public list of prices.

What belongs here: arguments, and what is shown. What does not: the rows, and the list that they
come from (``pricebooks``).
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from billing_pipeline.commands.parameters import json_option
from billing_pipeline.commands.terminal import CommandError, print_json
from billing_pipeline.pricebooks.rows import Book, Remark, write_book

_KINDS = {
    "left_out": "models are left out, as a catalogue cannot say their prices",
    "rounded": "prices are rounded",
    "comment": "comments of the list on its own prices",
}


class _Percent(click.ParamType[Decimal]):
    name = "percent"

    def convert(self, value: Any, param: Any, ctx: Any) -> Decimal:
        try:
            percent = Decimal(str(value).removesuffix("%"))
        except InvalidOperation:
            percent = Decimal("NaN")
        if not percent.is_finite() or percent < 0:
            self.fail(f"{value!r} is not a percentage such as 20%", param, ctx)
        return percent


@click.command()
@click.argument("source", metavar="ai", type=click.Choice(["ai"]))
@click.option("--markup", type=_Percent(), default="0%", help="Added to each price.")
@click.option(
    "--model",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Only models whose provider/model matches, such as 'openai/*'; may be repeated.",
)
@click.option("--costs", is_flag=True, help="Also write the list prices as catalog/costs/.")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="A new or empty folder.",
)
@json_option
def pricebook(
    source: str, markup: Decimal, patterns: tuple[str, ...], costs: bool, out: Path, as_json: bool
) -> None:
    """Write a price book for thousands of AI models: their list prices plus a mark-up."""
    book = _book(markup, patterns, costs)
    prices = len(book.files["catalog/prices"])
    if not prices:
        raise CommandError(_nothing(patterns, book))
    files = write_book(book, out)
    if as_json:
        remarks = [vars(remark) for remark in book.remarks]
        print_json({"success": True, "prices": prices, "files": files, "remarks": remarks})
        return
    click.echo(f"{prices:,} prices in {out / 'catalog' / 'prices.csv'}")
    for kind, count in Counter(remark.kind for remark in book.remarks).items():
        click.echo(f"{count:,} {_KINDS[kind]}: {out / 'remarks.csv'} names them")


def _book(markup: Decimal, patterns: tuple[str, ...], costs: bool) -> Book:
    try:
        from billing_pipeline.pricebooks.ai_models import price_book
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "genai_prices":
            raise
        raise CommandError(
            "the list of AI models' prices is not installed: pip install genai-prices "
            "(requirements-dev.txt has the version that was tested)"
        ) from error
    return price_book(markup, patterns, with_costs=costs)


def _nothing(patterns: tuple[str, ...], book: Book) -> str:
    named = ", ".join(patterns)
    left_out: list[Remark] = [one for one in book.remarks if one.kind == "left_out"]
    if left_out:
        return f"{named}: {left_out[0].name} is left out: {left_out[0].text}"
    return (
        f"{named}: no model of the list matches; models are named provider/model, as openai/gpt-5"
    )
