"""The dashboard's app: `make dashboard`. Read-only; reload it to see newly published data."""

import marimo

app = marimo.App(width="medium", app_title="Billing")


@app.cell
def _():
    from datetime import UTC, datetime

    import marimo as mo

    from billing_pipeline.dashboard import detail_pages, detail_queries, pages, queries
    from billing_pipeline.months import BillingMonth
    from billing_pipeline.published.health import health
    from billing_pipeline.published.month_states import month_overviews, months_with_usage
    from billing_pipeline.runs.recent_runs import recent_runs
    from billing_pipeline.settings import Settings

    return (
        BillingMonth,
        Settings,
        UTC,
        datetime,
        detail_pages,
        detail_queries,
        health,
        mo,
        month_overviews,
        months_with_usage,
        pages,
        queries,
        recent_runs,
    )


@app.cell
def _(Settings, mo, queries):
    settings = Settings.from_env()
    try:
        with queries.published(settings) as connection:
            known = queries.customers(connection)
            currencies = queries.currencies(connection)
            months_known = queries.months(connection)
    except LookupError as error:
        mo.stop(True, mo.callout(f"{error}: billing run MONTH, or make demo", kind="info"))
    return currencies, known, months_known, settings


@app.cell
def _(currencies, known, mo, months_known):
    # The page that a link asks for: ?month=2024-01, ?customer=…, ?invoice=…
    asked = mo.query_params()

    def chooser_of(label, names, wanted):
        found = next((name for name, value in names.items() if value == wanted), None)
        return mo.ui.dropdown(names, value=found, searchable=True, label=label)

    customer_chooser = chooser_of(
        "Customer",
        {
            f"{row['customer_name'] or ''} ({row['customer_id']})".strip(): row["customer_id"]
            for row in known
        },
        asked.get("customer"),
    )
    keys = sorted({f"{row['billing_month']:%Y-%m}" for row in months_known}, reverse=True)
    month_chooser = chooser_of(
        "Month", {key: key for key in keys}, asked.get("month") or next(iter(keys), None)
    )
    currency_chooser = mo.ui.dropdown(currencies, value=next(iter(currencies), None), label="")
    invoice_id = asked.get("invoice")
    return currency_chooser, customer_chooser, invoice_id, month_chooser


@app.cell
def _(
    BillingMonth,
    UTC,
    currencies,
    currency_chooser,
    customer_chooser,
    datetime,
    detail_pages,
    detail_queries,
    health,
    invoice_id,
    mo,
    month_chooser,
    month_overviews,
    months_with_usage,
    pages,
    queries,
    recent_runs,
    settings,
):
    has_pages = not settings.uses_sandbox

    def of_currency(rows):
        return [row for row in rows if row["currency"] == currency_chooser.value]

    def overviews(connection):
        return month_overviews(connection, settings, months_with_usage(settings), datetime.now(UTC))

    def months():
        with queries.published(settings) as connection:
            return pages.months_page(
                overviews(connection),
                of_currency(queries.months(connection)),
                (
                    of_currency(queries.revenue(connection)),
                    of_currency(queries.receivables(connection)),
                ),
                health(connection),
                settings.ui_url,
            )

    def month():
        if month_chooser.value is None:
            return detail_pages.month_page(month_chooser, None, None, settings.ui_url)
        chosen = BillingMonth.parse(month_chooser.value)
        with queries.published(settings) as connection:
            of_month = [one for one in overviews(connection) if one.month == chosen]
            found = detail_queries.month_details(connection, chosen)
        overview = next(iter(of_month), None)
        return detail_pages.month_page(month_chooser, found, overview, settings.ui_url)

    def so_far():
        with queries.published(settings) as connection:
            return pages.so_far_page(queries.month_so_far(connection))

    def invoices():
        with queries.published(settings) as connection:
            return pages.invoices_page(of_currency(queries.invoices(connection)))

    def revenue():
        with queries.published(settings) as connection:
            return pages.revenue_page(
                of_currency(queries.revenue(connection)),
                of_currency(queries.receivables(connection)),
                of_currency(queries.months(connection)),
            )

    def limits():
        with queries.published(settings) as connection:
            return pages.limits_page(queries.limits(connection))

    def activity():
        return pages.activity_page(recent_runs(settings, 60))

    def customer():
        if customer_chooser.value is None:
            return detail_pages.customer_page(customer_chooser, None)
        with queries.published(settings) as connection:
            found = detail_queries.customer_details(connection, customer_chooser.value)
        return detail_pages.customer_page(customer_chooser, found)

    def invoice():
        if invoice_id is None:
            return detail_pages.invoice_page(None, has_pages)
        with queries.published(settings) as connection:
            found = detail_queries.invoice_details(connection, invoice_id)
        return detail_pages.invoice_page(found, has_pages)

    several = [currency_chooser] if len(currencies) > 1 else []
    shown = {
        **pages.with_navigation(
            {"#/": months, "#/invoices": invoices, "#/revenue": revenue}, *several
        ),
        **pages.with_navigation(
            {
                "#/month": month,
                "#/so-far": so_far,
                "#/limits": limits,
                "#/activity": activity,
                "#/customer": customer,
                "#/invoice": invoice,
            }
        ),
    }
    mo.routes({**shown, mo.routes.CATCH_ALL: shown["#/"]})
    return


if __name__ == "__main__":
    app.run()
