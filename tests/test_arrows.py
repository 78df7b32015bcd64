"""Arrows between rooms point one way; no room's import loads what it must not."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "understudy"
GROUND = {"types", "errors", "tokens", "clock"}
BASE = GROUND | {"config", "telemetry"}
MAY_IMPORT = {
    "types": set(),
    "errors": {"types"},
    "tokens": set(),
    "clock": set(),
    "config": GROUND,
    "telemetry": BASE,
    "policies": {"types", "errors"},
    "rehearsal": BASE,
    "store": BASE,
    "tools": BASE,
    "agents": BASE | {"tools", "rehearsal", "store"},
    "classifiers": BASE,
    "fleet": BASE | {"agents", "store"},
    "reuse": BASE | {"store"},
    "director": BASE | {"fleet", "classifiers", "policies", "reuse", "agents", "tools", "store", "rehearsal"},
    "pipelines": BASE | {"director", "agents"},
    "scenarios": BASE | {"director", "fleet", "classifiers", "agents", "store", "rehearsal"},
    "gateway": BASE | {"director", "pipelines", "store", "tools"},
    "cli": BASE
    | {
        "director",
        "fleet",
        "pipelines",
        "gateway",
        "rehearsal",
        "policies",
        "agents",
        "store",
        "classifiers",
        "scenarios",
    },
    "__main__": {"cli"},
    "__init__": {"director", "types", "errors"},
}


def imports(path: Path) -> set[str]:
    """The rooms a file imports, wherever in the file the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            names = [f"{base}.{a.name}" for a in node.names] if base == "understudy" else [base]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        found |= {n.split(".")[1] for n in names if n.startswith("understudy.")}
    return found


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_inwards(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert room in MAY_IMPORT, f"a new room {room}: say what it may import"
    stray = imports(path) - {room} - MAY_IMPORT[room]
    assert not stray, f"{path.name} of {room} imports {sorted(stray)}"


def test_the_check_sees_a_wrong_arrow(tmp_path: Path) -> None:
    wrong = tmp_path / "x.py"
    wrong.write_text("def f():\n    from understudy.director import loop\n")
    assert imports(wrong) == {"director"}


def test_importing_understudy_loads_no_sdk() -> None:
    code = (
        "import sys, understudy, understudy.types, understudy.errors;"
        "heavy = {'pydantic_ai', 'groq', 'openai', 'anthropic', 'google', 'numpy', 'pydantic', 'httpx', 'llama_cpp'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_forbidden_names(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "manager", "handler", "common", "misc"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            assert not node.name.endswith(("Manager", "Helper", "Handler", "Utils")), node.name
