"""The gateway over real sockets: the transport, its connections, and what breaks on the way."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiohttp import web

from billing_pipeline.stripe_api.client import GatewayConfig, StripeGateway, run_closing
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure
from billing_pipeline.stripe_api.retries import RetryPolicy

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, **config: object) -> AsyncIterator[StripeGateway]:
    server = web.Server(handler)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    gateway = StripeGateway(
        GatewayConfig("sk_test_x", api_base=base, retries=RetryPolicy(attempts=1), **config)  # type: ignore[arg-type]
    )
    try:
        yield gateway
    finally:
        await gateway.aclose()
        await runner.cleanup()


def test_many_requests_share_as_many_connections_as_there_are_workers() -> None:
    ports = set()

    async def handler(request: web.Request) -> web.Response:
        peer = request.transport.get_extra_info("peername")  # type: ignore[union-attr]
        ports.add(peer[1])
        await asyncio.sleep(0.005)
        form = await request.post()
        return web.json_response(
            {"id": "in_1", "metadata": dict(form)}, headers={"Request-Id": "req_1"}
        )

    async def main() -> None:
        async with serving(handler, workers=5) as gateway:
            answers = await asyncio.gather(
                *(gateway.post("/v1/invoices", {"n": n}, key=f"k{n}") for n in range(60))
            )
            assert [answer.body["metadata"]["n"] for answer in answers] == [
                str(n) for n in range(60)
            ]
            assert {answer.request_id for answer in answers} == {"req_1"}

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
    assert 1 < len(ports) <= 5


class Json(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "16")
        self.end_headers()
        self.wfile.write(b'{"id": "acct_1"}')

    def log_message(self, *args: object) -> None:
        pass


def test_a_gateway_lives_through_several_event_loops() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Json) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        gateway = StripeGateway(
            GatewayConfig("sk_test_x", api_base=f"http://127.0.0.1:{server.server_port}")
        )
        for _ in range(2):
            answer = run_closing(gateway, lambda: gateway.get("/v1/account"))
            assert answer == {"id": "acct_1"}
        server.shutdown()


@pytest.mark.parametrize("moment", ["before the answer", "within the body"])
def test_a_connection_that_breaks_is_a_connection_failure(moment: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        if moment == "within the body":
            await response.prepare(request)
            await response.write(b'{"id": ')
        assert request.transport is not None
        request.transport.abort()
        return response

    async def main() -> None:
        async with serving(handler) as gateway:
            with pytest.raises(StripeFailure) as failed:
                await gateway.post("/v1/invoices", {}, key="k")
            assert failed.value.kind is FailureKind.CONNECTION

    asyncio.run(main())


def test_an_answer_that_does_not_come_is_a_connection_failure() -> None:
    async def main() -> None:
        given_up = asyncio.Event()

        async def handler(request: web.Request) -> web.Response:
            await given_up.wait()
            return web.json_response({})

        async with serving(handler, timeout=0.1) as gateway:
            with pytest.raises(StripeFailure) as failed:
                await gateway.get("/v1/account")
            assert failed.value.kind is FailureKind.CONNECTION
            given_up.set()

    asyncio.run(main())


def test_a_proxy_and_a_connected_account_are_used() -> None:
    asked = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode().strip())
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        await writer.drain()
        writer.close()

    async def through_proxy() -> None:
        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        config = GatewayConfig("sk_test_x", proxy=address, retries=RetryPolicy(attempts=1))
        gateway = StripeGateway(config)
        with pytest.raises(StripeFailure) as caught:
            await gateway.get("/v1/account")
        assert caught.value.kind is FailureKind.CONNECTION
        await gateway.aclose()
        server.close()

    asyncio.run(through_proxy())
    assert asked == ["CONNECT api.stripe.com:443 HTTP/1.1"]

    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"id": request.headers.get("Stripe-Account")})

    async def for_account() -> None:
        async with serving(handler, account="acct_1Connected") as gateway:
            assert (await gateway.get("/v1/account"))["id"] == "acct_1Connected"

    asyncio.run(for_account())
