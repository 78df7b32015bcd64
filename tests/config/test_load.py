"""Reading the configuration: what is none is named, and nothing is passed over in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from understudy.config import load
from understudy.errors import ConfigError


def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_POLCY", "v1")
    with pytest.raises(ConfigError, match="did you mean UNDERSTUDY_POLICY"):
        load.parse({}, "x")
    monkeypatch.delenv("UNDERSTUDY_POLCY")
    monkeypatch.setenv("UNDERSTUDY_SOMETHING_ELSE", "1")
    load.parse({}, "x")


def test_what_is_no_small_plain_file_is_not_read(tmp_path: Path) -> None:
    big, pipe = tmp_path / "big.toml", tmp_path / "pipe"
    big.write_bytes(b"#" * 2_000_000)
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="larger than"):
        load.load(big)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(ConfigError, match="not a file"):
            load.load(path)


def test_a_number_is_finite() -> None:
    for value in (float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="deadline"):
            load.parse({"deadline": value}, "x")
