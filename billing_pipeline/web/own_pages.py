"""Which requests a server of pages answers: those of its own pages, of nobody else's.

What belongs here: the rules, as ASGI middleware for any application. What does not: applications,
and serving them (``serving``).

A browser sends what any page tells it to, from the operator's own machine and with the operator's
log-in. So a server on the loopback address, or behind a proxy with a password, is open to every
page that the operator visits, unless it looks at what only the browser writes: `Host`, `Origin`,
`Sec-Fetch-Site` and, for a form, `Content-Type`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def own_origins(port: int, urls: Sequence[str] = ()) -> frozenset[str]:
    """The origins of pages that a server on `port` serves: the loopback address by its names, and
    `urls`, under which a proxy shows it. They are written as browsers write them."""
    local = [f"http://{name}:{port}" for name in LOOPBACK_NAMES]
    return frozenset(map(_origin, [*local, *urls]))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    default = _DEFAULT_PORTS.get(parts.scheme)
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def known_hosts_only(application: ASGIApp, origins: frozenset[str]) -> ASGIApp:
    """`application`, for requests to these origins' hosts: a name that somebody else lets point to
    this machine (DNS rebinding) would make their page one of ours."""
    hosts = sorted({(urlsplit(origin).netloc.rpartition("@")[2]) for origin in origins})
    names = sorted({host[: host.rfind("]") + 1] or host.partition(":")[0] for host in hosts})
    return TrustedHostMiddleware(application, names, www_redirect=False)


def same_origin_only(application: ASGIApp, origins: frozenset[str]) -> ASGIApp:
    """`application`, for its own pages, for people who type its address or follow a link to it, and
    for programs that name an own origin where they change something."""
    return known_hosts_only(_SameOriginOnly(application, origins), origins)


class _SameOriginOnly:
    def __init__(self, application: ASGIApp, origins: frozenset[str]) -> None:
        self._application = application
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        refusal = next(self._refusals(scope), None)
        if refusal is not None:
            status, reason = refusal
            await PlainTextResponse(f"{reason}\n", status)(scope, receive, send)
            return
        await self._application(scope, receive, _unframed(send))

    def _refusals(self, scope: Scope) -> Iterator[tuple[int, str]]:
        """What is wrong with a request, as a status and a sentence; usually nothing."""
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        if any(origin not in self._origins for origin in origins):
            yield 403, "this request comes from another site's page"
        method = scope.get("method", "websocket")
        is_reading = method in ("GET", "HEAD")
        site = headers.get("sec-fetch-site", "none")
        is_visit = is_reading and headers.get("sec-fetch-dest") == "document"
        if site not in ("none", "same-origin") and not is_visit:
            yield 403, "this request comes from another site's page"
        if not is_reading and len(origins) != 1:
            yield 403, "this request does not name the page that it comes from (Origin)"
        if not is_reading and method != "websocket" and not _is_json(headers):
            yield 415, "this server takes JSON only (Content-Type: application/json)"
        if is_reading and scope["path"].endswith("/graphql") and scope.get("query_string"):
            # Dagster's server carries out whatever a link says, mutations included.
            yield 405, "queries are sent by POST, as JSON"


def _is_json(headers: Headers) -> bool:
    types = headers.getlist("content-type")
    return len(types) == 1 and types[0].partition(";")[0].strip().lower() == "application/json"


def _unframed(send: Send) -> Send:
    """Answers that no other page may show in a frame, where a click could be led to a button, or
    load as an image or a script."""

    async def unframed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Frame-Options"] = "SAMEORIGIN"
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
        await send(message)

    return unframed
