"""Without a key: only from this machine, and never for a page of elsewhere that runs in a browser here."""

from __future__ import annotations

import pytest

from understudy.gateway.loopback import is_here

ALLOWED = [
    {"host": "127.0.0.1:8791"},
    {"host": "localhost:8791", "origin": "http://localhost:8791"},
    {"host": "[::1]:8791"},
    {"host": "localhost"},
]
REFUSED = [
    {},
    {"host": "evil.example:8791"},
    {"host": "127.0.0.1.evil.example"},
    {"host": "127.0.0.1:8791", "origin": "https://evil.example"},
    {"host": "127.0.0.1:8791", "origin": "null"},
    {"host": "localhost:8791", "origin": "http://localhost:9999"},
]


@pytest.mark.parametrize("headers", ALLOWED, ids=str)
def test_this_machine_may_ask(headers: dict[str, str]) -> None:
    assert is_here("127.0.0.1", headers)
    assert not is_here("10.0.0.7", headers)


@pytest.mark.parametrize("headers", REFUSED, ids=str)
def test_a_page_of_elsewhere_may_not(headers: dict[str, str]) -> None:
    assert not is_here("127.0.0.1", headers)
