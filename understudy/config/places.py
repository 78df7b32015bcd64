"""Where state and configuration are. Apart from reading it, which loads pydantic: the REPL's prompt needs only this."""

from __future__ import annotations

import os
from pathlib import Path

from understudy.config.pasted import shown
from understudy.errors import ConfigError


def home() -> Path:
    """The folder of all state: $UNDERSTUDY_HOME, else the platform's data folder. Raises ConfigError."""
    if chosen := os.environ.get("UNDERSTUDY_HOME"):
        return _expanded(chosen, "Set UNDERSTUDY_HOME to a folder of your own.")
    import platformdirs

    return Path(platformdirs.user_data_dir("understudy"))


def config_path(chosen: str | Path | None = None) -> Path:
    """The file that counts: the argument, $UNDERSTUDY_CONFIG, or config.toml below home(). Raises ConfigError."""
    named = chosen or os.environ.get("UNDERSTUDY_CONFIG")
    return _expanded(named, "Name a TOML file.") if named else home() / "config.toml"


def _expanded(path: str | Path, remedy: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # ~name, and nobody is called so
        raise ConfigError(f"Nobody's home is {shown(path)}.", remedy=remedy) from None
