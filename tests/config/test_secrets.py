"""Key files: small, plain, and never waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from understudy.config.secrets import read_key
from understudy.errors import ConfigError


def test_a_key_file_that_is_none_is_refused_at_once(tmp_path: Path) -> None:
    pipe, big = tmp_path / "pipe", tmp_path / "big"
    os.mkfifo(pipe)
    big.write_text("x" * 100_000)
    for path in (pipe, big, Path("/dev/zero"), tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_key(f"file:{path}")


def test_what_is_longer_than_any_key_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "k" * 65_536 + "\n")
    assert len(read_key("env:A_KEY").reveal()) == 65_536
    monkeypatch.setenv("A_KEY", "k" * 65_537)
    with pytest.raises(ConfigError, match="longer than any key") as caught:
        read_key("env:A_KEY")
    assert "kkk" not in str(caught.value)
