"""The words a decision may use. Other rooms own them, and a test compares."""

from __future__ import annotations

AGENTS = (
    "quick",
    "reasoner",
    "tool-caller",
    "coder",
    "tester",
    "reviewer",
    "long-context",
    "summarizer",
    "memory",
    "researcher",
    "planner",
    "private",
)
CHECKS = (
    "not_empty",
    "not_error",
    "not_refusal",
    "not_truncated",
    "length",
    "language",
    "format",
    "schema",
    "tool_calls",
    "python_compiles",
    "tests_pass",
)
JUDGES = ("none", "cheap", "director")
NEEDED = frozenset({"not_empty", "not_error"})  # checks without which an error could be passed off as an answer
MOST_ADVICE = 5
MOST_ATTEMPTS = 20
MOST_OUTPUT = 1_000_000  # tokens
NAME = r"[a-z][a-z0-9_-]{0,39}"  # of a policy
SELECTORS = r"[A-Za-z0-9_.*-]+/\S+"
