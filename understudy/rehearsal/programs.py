"""Code, tests and reviews: from a small stock of functions, and by reading the given source's syntax tree."""

from __future__ import annotations

import ast
import re
import textwrap

from understudy.rehearsal.corpus import SNIPPETS, Snippet
from understudy.rehearsal.prose import head, task_part


def write_code(text: str) -> str:
    """Python that compiles: a function of the stock, else the asked-for signature, which says that it is a stand-in."""
    task = task_part(text)
    name, arguments = _signature(task)
    if snippet := _known(task):
        # A name the caller asked for wins: the stock's own is only a default.
        return snippet.code if not name else re.sub(rf"\b{snippet.name}\b", name, snippet.code)
    about = head(task, 80).replace("\\", "").replace('"', "'")
    return (
        f'def {name or "stand_in"}({arguments}):\n    """Stand-in for: {about}"""\n'
        '    raise NotImplementedError("the rehearsal writes only the functions it knows")\n'
    )


def write_tests(text: str) -> str:
    """A pytest file that runs by itself: the function under test is part of it."""
    source = source_in(text)
    functions = _functions(source)
    snippet = _known(text)
    if functions:
        name = functions[0].name
        if snippet and snippet.name != name:
            snippet = Snippet(
                snippet.words, name, source,
                tuple((re.sub(rf"\b{snippet.name}\b", name, call), value) for call, value in snippet.examples),
            )  # fmt: skip
        body = source.rstrip()
    elif snippet:
        name, body = snippet.name, snippet.code.rstrip()
    else:
        name, body = "stand_in", write_code(text).rstrip()
        name = (_signature(task_part(text))[0]) or name
    if snippet:
        tests = [
            f"def test_{name}_{number}():\n    assert {call} == {value}"
            for number, (call, value) in enumerate(snippet.examples, 1)
        ]
    else:
        tests = [f"def test_{name}_can_be_called():\n    assert callable({name})"]
    return body + "\n\n\n" + "\n\n\n".join(tests) + "\n"


def review(text: str) -> str:
    """Findings of a few syntactic rules, one a line with its line number."""
    source = source_in(text)
    if not source.strip():
        return "No source was given, so there are no findings."
    try:
        tree = ast.parse(textwrap.dedent(source))
    except SyntaxError as error:
        return f"1 finding.\n- line {error.lineno}: this does not parse: {error.msg}."
    findings = sorted(set(_findings(tree)))
    lines = "".join(f"\n- line {line}: {what}" for line, what in findings)
    return f"{len(findings)} finding{'s' if len(findings) != 1 else ''} by syntactic rules.{lines}"


def source_in(text: str) -> str:
    """The source in a prompt: its fenced blocks, else everything from the first line that is code."""
    if blocks := re.findall(r"```[\w+-]*\n(.*?)```", text, re.DOTALL):
        return "\n\n".join(b.strip("\n") for b in blocks)
    start = re.search(r"^[ \t]*(?:@|async def |def |class |import |from \w+ import )", text, re.MULTILINE)
    return text[start.start() :] if start else ""


def _known(text: str) -> Snippet | None:
    return next((s for s in SNIPPETS if re.search(s.words, text, re.IGNORECASE)), None)


def _signature(task: str) -> tuple[str, str]:
    """The name and parameters a task asks for, ("", "") when it names none."""
    found = re.search(r"\bdef ([A-Za-z_]\w*)\s*\(([^()]*)\)", task) or re.search(
        r"\b(?:called|named|function|method) `?([a-z_]\w*)`?\s*\(([^()]*)\)", task
    )
    if not found:
        found = re.search(r"\b(?:called|named) `?([a-z_]\w*)`?()", task)
    if not found:
        return "", ""
    name, arguments = found[1], found[2]
    try:
        ast.parse(f"def {name}({arguments}): pass")
    except SyntaxError:
        return (name, "*arguments") if name.isidentifier() and name not in ("def", "class", "is", "for") else ("", "")
    return name, arguments


def _functions(source: str) -> list[ast.FunctionDef]:
    try:
        return [n for n in ast.parse(textwrap.dedent(source)).body if isinstance(n, ast.FunctionDef)]
    except SyntaxError:
        return []


def _findings(tree: ast.AST) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(type=None):
                found.append((node.lineno, "a bare except hides every error, KeyboardInterrupt included."))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                if any(isinstance(d, ast.List | ast.Dict | ast.Set) for d in node.args.defaults):
                    found.append((node.lineno, f"{node.name} has a mutable default, shared by all calls."))
            case ast.Compare(ops=[ast.Eq() | ast.NotEq()], comparators=[ast.Constant(value=None)]):
                found.append((node.lineno, "compare with None by `is`, not by ==."))
            case ast.Call(func=ast.Name(id="eval" | "exec" as name)):
                found.append((node.lineno, f"{name} runs whatever text it is given."))
            case ast.BinOp(op=ast.Div() | ast.FloorDiv() | ast.Mod(), right=ast.Name(id=name)):
                found.append((node.lineno, f"nothing here rules out that {name} is 0."))
            case ast.BinOp(op=ast.Div(), right=ast.Call(func=ast.Name(id="len"))):
                found.append((node.lineno, "this divides by a length that may be 0."))
            case ast.Call(
                func=ast.Name(id="range"), args=[*_, ast.BinOp(op=ast.Add(), right=ast.Constant(value=1)) as last]
            ):
                if isinstance(last.left, ast.Call):
                    found.append((node.lineno, "this range runs one past the last index."))
            case ast.Import() | ast.ImportFrom():
                names = [(a.asname or a.name).split(".")[0] for a in node.names]
                found += [(node.lineno, f"{n} is imported and not used.") for n in names if n not in used]
            case _:
                pass
    return found
