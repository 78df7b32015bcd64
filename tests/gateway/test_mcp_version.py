"""An environment whose mcp is too old for a server says so."""

from __future__ import annotations

import importlib.metadata

import pytest

from understudy.cli.mcp import Serving, mcp
from understudy.errors import ConfigError


async def test_an_old_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.26.0")
    with pytest.raises(ConfigError, match=r"mcp 1\.26\.0"):
        await mcp(None, Serving())
