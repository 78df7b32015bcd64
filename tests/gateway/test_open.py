"""Without a key: only from this machine, and never for a page of elsewhere that runs in a browser here."""

from __future__ import annotations

import pytest

from understudy.errors import Forbidden
from understudy.gateway.service import _check_here

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
    _check_here(headers, "127.0.0.1")
    with pytest.raises(Forbidden, match="only this machine"):
        _check_here(headers, "10.0.0.7")


@pytest.mark.parametrize("headers", REFUSED, ids=str)
def test_a_page_of_elsewhere_may_not(headers: dict[str, str]) -> None:
    with pytest.raises(Forbidden):
        _check_here(headers, "127.0.0.1")
