"""A network back end for httpcore in which looking a host up, judging its address and connecting are one act.

There is no second look-up between the check and the connection, so a name server that changes its mind (DNS
rebinding) changes nothing: the socket goes to the very address that was judged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, cast

import httpcore

from understudy.errors import ToolFailed
from understudy.tools.addresses import Address, is_public, parse_address

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
Allow = Callable[[Address, int], bool]


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Connects to public addresses on the permitted ports only; `allow` can permit one address and port more."""

    def __init__(self, resolver: Resolver, ports: frozenset[int], allow: Allow | None) -> None:
        self._resolver = resolver
        self._ports = ports
        self._allow = allow
        self._net = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception | None = None
        for address in await self._addresses(host, port):
            try:
                stream = await self._net.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            if _is_own(stream) and not self._permits(address, port):
                await stream.aclose()
                raise ToolFailed(f"{host} is this machine.", remedy="Only public hosts are fetched.")
            return stream
        raise failure or httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise ToolFailed("A Unix socket is not fetched.", remedy="Only http and https URLs are.")

    async def sleep(self, seconds: float) -> None:
        await self._net.sleep(seconds)

    def _permits(self, address: Address, port: int) -> bool:
        return self._allow is not None and self._allow(address, port)

    async def _addresses(self, host: str, port: int) -> list[Address]:
        """All addresses of the host, every one of them fit; one that is not spoils them all."""
        literal = parse_address(host.strip("[]"))
        if literal is not None:
            found = [literal]
        else:
            try:
                answers = await self._resolver(host, port)
            except (OSError, UnicodeError):
                raise ToolFailed(f"{host} is not known to the name server.", remedy="Check its spelling.") from None
            parsed = [parse_address(a) for a in answers]
            found = [a for a in parsed if a is not None]
            if not found or len(found) != len(parsed):
                raise ToolFailed(f"{host} has no usable address.", remedy="Give another source.")
        for address in found:
            if self._permits(address, port):
                continue
            if not is_public(address):
                raise ToolFailed(f"{host} is at a private address.", remedy="Only public hosts are fetched.")
            if port not in self._ports:
                raise ToolFailed(
                    f"Port {port} of {host} is not fetched.",
                    remedy=f"Ports {', '.join(map(str, sorted(self._ports)))} are.",
                )
        return list(dict.fromkeys(found))


async def resolve(host: str, port: int) -> list[str]:
    """The addresses the system's resolver gives for a host. Raises OSError."""
    import asyncio
    import socket

    loop = asyncio.get_running_loop()
    answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(a[4][0]) for a in answers]


def _is_own(stream: httpcore.AsyncNetworkStream) -> bool:
    """Both ends have one address: the public address of this machine, where its private services may listen."""
    here: Any = stream.get_extra_info("client_addr")
    there: Any = stream.get_extra_info("server_addr")
    return here is not None and there is not None and here[0] == there[0]
