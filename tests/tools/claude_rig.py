"""What the tests of the claude CLI share: where it is, a user made of temporary folders, and who is still running."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

from understudy.config.secrets import Secret
from understudy.tools.claude_cli import ClaudeCLI

REPOSITORY = Path(__file__).parents[2]


def find_claude() -> str | None:
    """$UNDERSTUDY_TEST_CLAUDE, else the one scripts/install_claude.sh installs, else the PATH."""
    installed = REPOSITORY / ".tools/node_modules/.bin/claude"
    return os.environ.get("UNDERSTUDY_TEST_CLAUDE") or (
        str(installed) if installed.exists() else shutil.which("claude")
    )


class Rig:
    """A user with a home of their own, and a claude that knows one server on this machine and no way to any other."""

    def __init__(self, folder: Path, url: str, mode: str = "key", command: str | None = None) -> None:
        self.home = folder / "home"  # not empty: an empty one makes the CLI look for the real one
        self.config = folder / "config"
        self.state = folder / "state"
        for path in (self.home, self.config):
            path.mkdir(exist_ok=True)
        (self.home / ".profile").write_text("")
        self.mode = mode
        self.url = url
        self.command = command or find_claude() or "claude"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "CLAUDE_CONFIG_DIR": str(self.config),
            "HTTPS_PROXY": "http://127.0.0.1:9",  # whatever is not this machine ends at a closed port
            "NO_PROXY": "127.0.0.1,localhost",
            "GROQ_API_KEY": "foreign-secret-groq",
            "ANTHROPIC_API_KEY": "foreign-secret-anthropic",
            "UNDERSTUDY_HOME": "foreign-secret-home",
            "AWS_SECRET_ACCESS_KEY": "foreign-secret-aws",
        }
        if mode == "login":
            self.log_in()

    def log_in(self, email: str = "somebody.with.quite.a.long.name@subdomain.example-company.com") -> None:
        """A login that looks like one to the CLI and is known to no server."""
        login = {
            "accessToken": "sk-ant-oat01-not-a-token",
            "refreshToken": "sk-ant-ort01-not-a-token",
            "expiresAt": int((time.time() + 86_400) * 1000),
            "scopes": ["user:inference", "user:profile"],
            "subscriptionType": "max",
        }
        (self.config / ".credentials.json").write_text(json.dumps({"claudeAiOauth": login}))
        account = {"accountUuid": "1" * 8, "organizationUuid": "2" * 8, "emailAddress": email, "displayName": "S"}
        (self.config / ".claude.json").write_text(json.dumps({"oauthAccount": account}))

    def cli(self, **changes: object) -> ClaudeCLI:
        key = Secret("the-configured-key", "test") if self.mode == "key" else None
        settings: dict[str, object] = {
            "login": "key" if self.mode == "key" else "subscription",
            "key": key,
            "base_url": self.url,
            "state": self.state,
            "environ": self.environ,
            "grace": 1.0,
        }
        return ClaudeCLI((self.command,), **(settings | changes))  # type: ignore[arg-type]

    def running(self) -> list[str]:
        """The processes, of whatever parent, that were started with this user's home."""
        mark = f"HOME={self.home}".encode()
        found: list[str] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()[:200]!r}")
                except OSError:
                    continue
        return found

    def supervisors(self) -> list[str]:
        """Those that this process started itself: one for each command that runs."""
        found: list[str] = []
        for line in self.running():
            try:
                fields = Path("/proc", line.split()[0], "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid():
                found.append(line)
        return found

    def all_gone(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.running():
                return True
            time.sleep(0.05)
        return not self.running()
