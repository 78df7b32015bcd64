"""The fetch tool against servers that mean harm, on loopback by the allow hook only."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import ipaddress
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from understudy.errors import ToolFailed
from understudy.tools.addresses import Address, check_url, is_public
from understudy.tools.fetch import FetchLimits, Page, fetch

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SMALL = FetchLimits(seconds=5, wire_bytes=200_000, page_bytes=200_000, chars=1_000)


def _reply(body: bytes, headers: str = "content-type: text/html", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def serving(answer: bytes | Serve, host: str = "127.0.0.1") -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that says `answer` to everybody; yields its port and the requests it has seen."""
    seen: list[bytes] = []

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            if callable(answer):
                await answer(reader, writer)
            else:
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(on_connect, host, 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()


def permit(*ports: int) -> Callable[[Address, int], bool]:
    return lambda address, port: address == ipaddress.ip_address("127.0.0.1") and port in ports


async def read(answer: bytes | Serve, limits: FetchLimits = SMALL) -> Page:
    async with serving(answer) as (port, _):
        return await fetch(f"http://127.0.0.1:{port}/", limits=limits, allow=permit(port))


REFUSED_URLS = """
http://127.0.0.1/ http://127.1/ http://127.0.1/ http://2130706433/ http://0x7f000001/ http://0x7f.0.0.1/ http://0177.0.0.1/
http://017700000001/ http://127.0.0.1./ http://127.000.000.001/ http://0/ http://0.0.0.0/ http://0x/ http://[::1]/ http://[::]/
http://[::ffff:127.0.0.1]/ http://[::ffff:7f00:1]/ http://[::ffff:a9fe:a9fe]/ http://[::127.0.0.1]/
http://[64:ff9b::7f00:1]/ http://[64:ff9b::169.254.169.254]/ http://[64:ff9b:1::1]/ http://[2002:7f00:1::]/
http://[2001:0:7f00:1::]/ http://[fe80::1]/ http://[fe80::1%25eth0]/ http://[fc00::1]/ http://[fd00:ec2::254]/ http://[ff02::1]/
http://[2001:db8::1]/ http://[3fff::1]/ http://[100::1]/ http://[fec0::1]/ http://10.0.0.1/ http://10.255.255.255/
http://172.16.0.1/ http://172.31.255.255/ http://192.168.1.1/ http://169.254.169.254/latest/meta-data/ http://2852039166/
http://0xa9fea9fe/ http://0251.0376.0251.0376/ http://100.64.0.1/ http://100.100.100.200/ http://192.0.0.192/ http://192.0.2.1/
http://198.18.0.1/ http://198.51.100.1/ http://203.0.113.1/ http://224.0.0.1/ http://239.255.255.255/ http://240.0.0.1/
http://255.255.255.255/ http://168.63.129.16/ http://localhost/ http://LOCALHOST/ http://localhost./ http://a.localhost/
http://metadata.google.internal/ http://printer.local/ http://router.lan/ http://intranet/ http://x.onion/
http://127。0。0。1/ http://１２７.0.0.1/ http://①②⑦.0.0.1/ http://127%2e0%2e0%2e1/ http://%6c%6f%63%61%6c%68%6f%73%74/
http://user@93.184.216.34/ http://user:pw@93.184.216.34/ http://93.184.216.34@127.0.0.1/ http://93.184.216.34:80@127.0.0.1/
http://127.0.0.1:80#@93.184.216.34/ http://93.184.216.34:22/ http://93.184.216.34:6379/ http://93.184.216.34:25/
http://93.184.216.34:0/ http://93.184.216.34:99999/ http://93.184.216.34:-1/ http://93.184.216.34:a/ http://93.184.216.34\\@127.0.0.1/
ftp://93.184.216.34/ file:///etc/passwd gopher://93.184.216.34/ dict://93.184.216.34:11211/
data:text/html,hi javascript:alert(1)
//93.184.216.34/ 93.184.216.34 http:// http:/// http://./ http://../ http://[/ http://]/ http://[::1 http://a..b/ http://-a.b/
http://a_b.c-/ https:93.184.216.34 http://exa<mple.com/ http://[v1.a]/
""".split()  # noqa: SIM905  a table to read


def test_port_0_is_not_taken_for_none() -> None:
    with pytest.raises(ToolFailed, match="port 0"):
        check_url("http://93.184.216.34:0/")


@pytest.mark.parametrize(
    "url", [*REFUSED_URLS, "", " ", "http://a b.com/", "http://a.com/\r\nX: y", "http://a.com/\0", "h" * 9000]
)
async def test_nothing_but_a_public_http_url_is_tried(url: str) -> None:
    async def nowhere(host: str, port: int) -> Sequence[str]:
        raise AssertionError(f"{host} was looked up")

    with pytest.raises(ToolFailed) as caught:
        await fetch(url, resolver=nowhere, limits=FetchLimits(seconds=5, connect_seconds=0.01))
    assert caught.value.remedy
    assert "ConnectTimeout" not in caught.value.message
    assert "could not be read" not in caught.value.message


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:10.0.0.1"],
        ["fe80::1%eth0"],
        ["93.184.216.34", "10.0.0.1"],  # one good address does not wash another
        ["0.0.0.0"],
        ["not an address"],
        [],
    ],
)
async def test_a_name_is_judged_by_its_addresses(answers: list[str]) -> None:
    async def resolver(host: str, port: int) -> list[str]:
        return answers

    with pytest.raises(ToolFailed, match=r"private address|no usable address"):
        await fetch("http://good.example.com/", resolver=resolver, limits=FetchLimits(connect_seconds=0.01))


async def test_the_connection_goes_to_the_address_that_was_judged() -> None:
    """A name server that says a good address first and a private one afterwards is asked once."""
    async with serving(_reply(b"<p>pinned")) as (port, seen):
        asked: list[str] = []

        async def rebinding(host: str, _port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

        page = await fetch(f"http://good.example.com:{port}/a?b=1", resolver=rebinding, allow=permit(port))
    assert asked == ["good.example.com"]
    assert page.text == "pinned"
    assert b"host: good.example.com" in seen[0].lower()
    assert seen[0].startswith(b"GET /a?b=1 ")


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.1:{other}/",
        "http://localhost:{other}/",
        "//0x7f.1:{other}/",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "http://[::ffff:127.0.0.1]:{other}/",
        "http://u:p@127.0.0.1:{port}/",
    ],
)
async def test_each_redirect_is_judged_anew(place: str) -> None:
    async with serving(_reply(b"secret")) as (other, private):

        async def redirect(_r: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            where = place.format(other=other, port=port)
            writer.write(_reply(b"", f"location: {where}", "302 Found"))

        async with serving(redirect) as (port, _):
            with pytest.raises(ToolFailed):
                await fetch(f"http://127.0.0.1:{port}/", allow=permit(port), limits=SMALL)
        assert private == []


async def test_redirects_are_followed_and_counted() -> None:
    async def turn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        n = len(seen)
        writer.write(_reply(b"", f"location: /{n}", "301 Moved") if n < 4 else _reply(b"<title>t</title><p>end"))

    async with serving(turn) as (port, seen):
        page = await fetch(f"http://127.0.0.1:{port}/", allow=permit(port), limits=SMALL)
        assert (page.url, page.status, page.title, page.text) == (f"http://127.0.0.1:{port}/3", 200, "t", "end")
    loop = _reply(b"", "location: /again", "302 Found")
    with pytest.raises(ToolFailed, match="redirects"):
        await read(loop)


async def test_slow_servers_are_left_at_the_deadline() -> None:
    async def drip(_r: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 999999\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(ToolFailed, match="longer than"):
        await read(drip, FetchLimits(seconds=0.3))
    assert loop.time() - began < 2


async def test_a_body_without_end_is_cut() -> None:
    sent = 0

    async def flood(_r: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
        while True:
            writer.write(b"word " * 4000)
            sent += 20_000
            await writer.drain()

    page = await read(flood)
    assert page.truncated
    assert len(page.text) == SMALL.chars
    assert sent < 20_000_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_decompression_bomb_costs_its_limit_only(encoding: str) -> None:
    import tracemalloc

    zeros = b" " * 100_000_000
    bomb = gzip.compress(zeros) if encoding == "gzip" else zlib.compress(zeros)
    del zeros
    tracemalloc.start()
    page = await read(_reply(b"" + bomb, f"content-type: text/plain\r\ncontent-encoding: {encoding}"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert page.truncated
    assert peak < 8_000_000


async def test_encodings_are_read_or_refused() -> None:
    text = "<p>grüße".encode()
    raw = zlib.compressobj(wbits=-15)
    for encoding, body in (
        ("gzip", gzip.compress(text)),
        ("deflate", zlib.compress(text)),
        ("deflate", raw.compress(text) + raw.flush()),
        ("identity", text),
    ):
        page = await read(_reply(body, f"content-type: text/html; charset=utf-8\r\ncontent-encoding: {encoding}"))
        assert (page.text, page.truncated) == ("grüße", False)
    for encoding in ("br", "gzip, gzip", "zstd"):
        with pytest.raises(ToolFailed, match="encoding"):
            await read(_reply(text, f"content-type: text/html\r\ncontent-encoding: {encoding}"))
    with pytest.raises(ToolFailed, match="decompress"):
        await read(_reply(b"not gzip", "content-type: text/html\r\ncontent-encoding: gzip"))


@pytest.mark.parametrize("kind", ["image/png", "application/pdf", "application/octet-stream", "video/mp4"])
async def test_only_text_is_read(kind: str) -> None:
    with pytest.raises(ToolFailed, match="no text"):
        await read(_reply(b"%PDF", f"content-type: {kind}"))


async def test_a_binary_in_disguise_is_refused() -> None:
    with pytest.raises(ToolFailed, match="binary"):
        await read(_reply(b"\x7fELF\0\0\0", "content-type: text/plain"))


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "403 Forbidden", "429 Too Many Requests", "304 Same"])
async def test_an_error_status_is_a_failure(status: str) -> None:
    with pytest.raises(ToolFailed, match=status[:3]):
        await read(_reply(b"<p>Sorry", status=status))


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("text/html; charset=iso-8859-1", "<p>grüße".encode("latin-1")),
        ('text/html; charset="UTF-8"', "<p>grüße".encode()),
        ("text/html", "<p>grüße".encode()),
        ("text/html", "<p>grüße".encode("cp1252")),
        ("text/html", '<meta charset="iso-8859-15"><p>grüße'.encode("iso-8859-15")),
        ("text/html; charset=utf-16", "<p>grüße".encode("utf-16")),
        ("text/html; charset=rot13", "<p>grüße".encode()),
        ("text/html; charset=zlib", "<p>grüße".encode()),
        ("text/html; charset=unicode_escape", "<p>grüße".encode()),
        ("text/html; charset=nonsense\0", "<p>grüße".encode()),
        ("", "<p>grüße".encode()),
    ],
)
async def test_character_sets(header: str, body: bytes) -> None:
    if "\0" in header:
        with pytest.raises(ToolFailed):
            await read(_reply(body, f"content-type: {header}"))
        return
    assert (await read(_reply(body, f"content-type: {header}" if header else "x-a: b"))).text == "grüße"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 300_000,
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nshort",
    ],
)
async def test_broken_answers_are_typed_failures(answer: bytes) -> None:
    with pytest.raises(ToolFailed, match="could not be read"):
        await read(answer)


async def test_a_closed_port_and_an_unknown_name_are_typed_failures() -> None:
    async with serving(b"") as (port, _):
        pass
    with pytest.raises(ToolFailed, match="could not be read"):
        await fetch(f"http://127.0.0.1:{port}/", allow=permit(port))

    async def unknown(host: str, _port: int) -> list[str]:
        raise OSError("NXDOMAIN")

    with pytest.raises(ToolFailed, match="not known"):
        await fetch("http://nobody.example.com/", resolver=unknown)


async def test_the_query_stays_out_of_errors() -> None:
    async with serving(_reply(b"", status="500 no")) as (port, _):
        with pytest.raises(ToolFailed) as caught:
            await fetch(f"http://127.0.0.1:{port}/p?token=hunter2", allow=permit(port))
    assert "hunter2" not in str(caught.value)


async def test_cancelling_closes_the_connection() -> None:
    closed = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, _w: asyncio.StreamWriter) -> None:
        await reader.read()
        closed.set()

    async with serving(wait) as (port, seen):
        task = asyncio.create_task(fetch(f"http://127.0.0.1:{port}/", allow=permit(port)))
        while not seen:  # noqa: ASYNC110
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(closed.wait(), 2)


def test_public_addresses_are_public() -> None:
    for text in ("93.184.216.34", "8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"):
        assert is_public(ipaddress.ip_address(text)), text


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("HTTPS://Example.COM./Ä b"[:-2] + "?q=ü#frag", "https://example.com/%C3%84?q=%C3%BC"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://example.com:8080/a%20b", "http://example.com:8080/a%20b"),
        ("http://[2606:4700:0::1111]/", "http://[2606:4700::1111]/"),
    ],
)
def test_urls_are_sent_in_one_spelling(url: str, sent: str) -> None:
    assert check_url(url)[0].geturl() == sent


async def test_the_own_public_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback stands in for a public address of this machine: both ends of the connection have the same one."""
    monkeypatch.setattr("understudy.tools.pinned.is_public", lambda address: True)
    async with serving(_reply(b"<p>service")) as (port, seen):
        with pytest.raises(ToolFailed, match="this machine"):
            await fetch(f"http://127.0.0.1:{port}/", limits=FetchLimits(ports=frozenset({port})))
        assert seen == []


async def test_tls_is_checked_against_the_name_while_the_address_is_pinned(tmp_path: Path) -> None:
    server_side, client_side = _certificate("good.example.com", tmp_path)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_reply(b"<p>private line"))
        await writer.drain()
        writer.close()

    async def here(host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_side)
    port = server.sockets[0].getsockname()[1]
    try:
        good = f"https://good.example.com:{port}/"
        page = await fetch(good, resolver=here, allow=permit(port), tls=client_side)
        assert page.text == "private line"
        for url, tls in ((good.replace("good", "evil"), client_side), (good, None)):
            with pytest.raises(ToolFailed, match="could not be read"):
                await fetch(url, resolver=here, allow=permit(port), tls=tls)
    finally:
        server.close()


def _certificate(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=1)
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    pem = folder / "server.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pem.write_bytes(secret + certificate)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(pem)
    return server_side, ssl.create_default_context(cadata=certificate.decode())
