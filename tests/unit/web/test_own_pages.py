"""Which requests are answered, rule by rule. With real servers: test_foreign_pages.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from billing_pipeline.web.own_pages import own_origins, same_origin_only

ORIGINS = own_origins(3000, ["https://Billing.example.com:443/", "http://[fd00::1]:8080"])
OWN = "http://127.0.0.1:3000"
Headers = list[tuple[str, str]]


def answer(method: str, path: str, headers: Headers, kind: str = "http") -> int:
    """The status of a request that lacks nothing but what `headers` say."""
    place, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": kind, "path": place, "query_string": query.encode(), "scheme": "http",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "extensions": {"websocket.http.response": {}},
    }  # fmt: skip
    if kind == "http":
        scope["method"] = method
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    application = same_origin_only(PlainTextResponse("ours"), ORIGINS)
    asyncio.run(application(scope, receive, send))
    return int(sent[0]["status"])


def host(name: str = "127.0.0.1:3000") -> Headers:
    return [("Host", name)]


JSON = [("Content-Type", "application/json")]


def test_origins_are_written_as_browsers_write_them() -> None:
    assert set(ORIGINS) == {
        *("http://127.0.0.1:3000", "http://localhost:3000", "http://[::1]:3000"),
        *("https://billing.example.com", "http://[fd00::1]:8080"),
    }
    assert "http://localhost" in own_origins(80)


@pytest.mark.parametrize(
    "name", ["localhost:3000", "[::1]:3000", "billing.example.com", "[fd00::1]"]
)
def test_own_hosts_are_answered(name: str) -> None:
    assert answer("GET", "/", host(name)) == 200


@pytest.mark.parametrize(
    "name", ["", "evil", "127.0.0.1.evil", "xlocalhost", "example.com", "localhost@evil", "[::2]"]
)
def test_other_hosts_are_not(name: str) -> None:
    assert answer("GET", "/", host(name)) == 400
    assert answer("GET", "/", host(name), "websocket") == 400


def test_a_request_without_a_host_is_not_answered() -> None:
    assert answer("GET", "/", []) == 400


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", [], 200),
        ("HEAD", [("Sec-Fetch-Site", "same-origin")], 200),
        ("GET", [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Dest", "document")], 200),
        ("GET", [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Dest", "iframe")], 403),
        ("GET", [("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Dest", "script")], 403),
        ("GET", [("Origin", "https://evil")], 403),
        ("POST", [("Origin", OWN), *JSON], 200),
        ("POST", [("Origin", OWN), ("Content-Type", "application/JSON; charset=utf-8")], 200),
        ("POST", [("Origin", "https://billing.example.com"), *JSON], 200),
        ("POST", JSON, 403),
        ("POST", [("Origin", "null"), *JSON], 403),
        ("POST", [("Origin", f"{OWN}/"), *JSON], 403),
        ("POST", [("Origin", OWN), ("Origin", OWN), *JSON], 403),
        ("POST", [("Origin", OWN), ("Origin", "https://evil"), *JSON], 403),
        ("POST", [("Origin", "http://localhost:3001"), *JSON], 403),
        ("POST", [("Origin", OWN), ("Sec-Fetch-Site", "cross-site"), *JSON], 403),
        (
            "POST",
            [
                ("Origin", OWN),
                ("Sec-Fetch-Site", "cross-site"),
                ("Sec-Fetch-Dest", "document"),
                *JSON,
            ],
            403,
        ),
        ("POST", [("Origin", OWN)], 415),
        ("POST", [("Origin", OWN), ("Content-Type", "text/plain")], 415),
        ("POST", [("Origin", OWN), ("Content-Type", "text/plain;application/json")], 415),
        ("POST", [("Origin", OWN), ("Content-Type", "application/jsonx")], 415),
        ("POST", [("Origin", OWN), *JSON, ("Content-Type", "text/plain")], 415),
        ("OPTIONS", [("Origin", "https://evil")], 403),
        ("DELETE", JSON, 403),
    ],
)
def test_requests_come_from_own_pages(method: str, headers: Headers, status: int) -> None:
    assert answer(method, "/graphql", [*host(), *headers]) == status


def test_no_link_carries_a_query() -> None:
    own = [*host(), ("Sec-Fetch-Site", "same-origin")]
    assert answer("GET", "/graphql?query=x", own) == 405
    assert answer("HEAD", "/graphql?query=x", own) == 405
    assert answer("GET", "/graphql", own) == 200
    assert answer("GET", "/runs?q=x", own) == 200


def test_a_websocket_names_its_page() -> None:
    for origin, status in ((OWN, 200), ("https://evil", 403), ("null", 403)):
        found = answer("GET", "/graphql", [*host(), ("Origin", origin)], "websocket")
        assert (origin, found) == (origin, status)
    assert answer("GET", "/graphql", host(), "websocket") == 403
