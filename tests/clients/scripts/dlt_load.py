"""dlt loads the account into DuckDB, list by list; then its tables are read: one line of JSON for
each row. Runs in dlt's own environment."""

import json
import sys
from pathlib import Path

import dlt
import duckdb
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.paginators import BasePaginator

TABLES = {
    "balance_transactions": "amount",
    "charges": "amount",
    "credit_notes": "total",
    "customers": "balance",
    "invoices": "total",
    "payment_intents": "amount",
    "products": "0",
    "refunds": "amount",
}


class Cursor(BasePaginator):
    """Stripe's pages: each is asked for after the last object of the one before."""

    def update_state(self, response, data=None):
        self._has_next_page = response.json()["has_more"]
        self._last = data[-1]["id"] if data else None

    def update_request(self, request):
        request.params["starting_after"] = self._last


def resource(client, name):
    def read():
        yield from client.paginate(
            f"/v1/{name}", params={"limit": 100}, paginator=Cursor(), data_selector="data"
        )

    return dlt.resource(read, name=name, primary_key="id", write_disposition="merge")


def main(work, base, key, *_):
    client = RESTClient(base_url=base, auth=BearerTokenAuth(key))
    path = str(Path(work) / "loaded.duckdb")
    pipeline = dlt.pipeline(
        "stripe",
        pipelines_dir=work,
        destination=dlt.destinations.duckdb(path),
        dataset_name="stripe",
    )
    pipeline.run([resource(client, name) for name in TABLES])
    with duckdb.connect(path, read_only=True) as loaded:
        # What has no rows gets no table.
        made = loaded.sql("select table_name from information_schema.tables").fetchall()
        for name, amount in TABLES.items():
            if (name,) not in made:
                continue
            table = loaded.sql(f"select *, {amount} as amount_of_row from stripe.{name}")
            for values in table.fetchall():
                row = dict(zip(table.columns, values, strict=True))
                ours = bool(row.get("metadata__billing_invoice_id"))
                what = {"kind": row["object"], "id": row["id"], "currency": row.get("currency")}
                print(json.dumps(what | {"amount": row["amount_of_row"], "ours": ours}))


if __name__ == "__main__":
    main(*sys.argv[1:])
