"""The dashboard's app: `make dashboard`. Read-only; reload it to see newly published data."""

import marimo

app = marimo.App(width="medium", app_title="Billing")


@app.cell
def _():
    from datetime import UTC, datetime

    import marimo as mo

    from billing_pipeline.dashboard import pages, queries
    from billing_pipeline.published.health import health
    from billing_pipeline.published.month_states import month_overviews, months_with_usage
    from billing_pipeline.runs.recent_runs import recent_runs
    from billing_pipeline.settings import Settings

    return (
        UTC,
        Settings,
        datetime,
        health,
        mo,
        month_overviews,
        months_with_usage,
        pages,
        queries,
        recent_runs,
    )


@app.cell
def _(Settings, mo, pages, queries):
    settings = Settings.from_env()
    try:
        with queries.published(settings) as connection:
            known = queries.customers(connection)
    except LookupError as error:
        mo.stop(True, mo.callout(f"{error}: billing run MONTH, or make demo", kind="info"))
    return known, settings


@app.cell
def _(known, mo):
    names = {
        f"{row['customer_id']}  {row['name'] or ''}".strip(): row["customer_id"] for row in known
    }
    chooser = mo.ui.dropdown(names, searchable=True, label="Customer")
    return (chooser,)


@app.cell
def _(
    UTC,
    chooser,
    datetime,
    health,
    mo,
    month_overviews,
    months_with_usage,
    pages,
    queries,
    recent_runs,
    settings,
):
    has_pages = not settings.uses_sandbox

    def months():
        with queries.published(settings) as connection:
            found = month_overviews(
                connection, settings, months_with_usage(settings), datetime.now(UTC)
            )
            return pages.months_page(
                found, queries.months(connection), health(connection), settings.ui_url
            )

    def so_far():
        with queries.published(settings) as connection:
            return pages.so_far_page(queries.month_so_far(connection))

    def invoices():
        with queries.published(settings) as connection:
            return pages.invoices_page(queries.invoices(connection), has_pages=has_pages)

    def revenue():
        with queries.published(settings) as connection:
            return pages.revenue_page(
                queries.revenue(connection),
                queries.receivables(connection),
                queries.months(connection),
            )

    def limits():
        with queries.published(settings) as connection:
            return pages.limits_page(queries.limits(connection))

    def activity():
        return pages.activity_page(recent_runs(settings, 60))

    def customer():
        if chooser.value is None:
            return pages.customer_page(chooser, None, has_pages)
        with queries.published(settings) as connection:
            found = queries.one_customer(connection, chooser.value)
        return pages.customer_page(chooser, found, has_pages)

    shown = pages.framed(
        {
            "#/": months,
            "#/so-far": so_far,
            "#/invoices": invoices,
            "#/revenue": revenue,
            "#/limits": limits,
            "#/activity": activity,
            "#/customer": customer,
        }
    )
    mo.routes({**shown, mo.routes.CATCH_ALL: shown["#/"]})
    return


if __name__ == "__main__":
    app.run()
