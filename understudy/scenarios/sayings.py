"""What people ask in a rehearsed day: a few dozen sentences about a few dozen things."""

from __future__ import annotations

from collections.abc import Mapping

from understudy.types import Intent

THINGS = (
    "tides", "copper wire", "the printing press", "sourdough", "bicycles", "glaciers", "public libraries",
    "binary trees", "the water cycle", "honey bees", "concrete", "sailing ships", "the metric system", "wind turbines",
    "coral reefs", "the postal service", "chess openings", "volcanoes", "pencils", "railway gauges", "maps", "clocks",
    "antibiotics", "rivers", "paper", "the night sky", "tea", "earthquakes", "looms", "bridges",
)  # fmt: skip

SAYINGS: Mapping[Intent, tuple[str, ...]] = {
    Intent.QUICK_QA: (
        "What is there to know about {thing}, in one sentence?",
        "Who is known for their work on {thing}?",
        "What is the capital of Norway, and are there {thing}?",
        "When were {thing} first written about?",
    ),
    Intent.REASONING: (
        "Why do {thing} matter more in winter than in summer? Reason step by step.",
        "Compare {thing} with their nearest alternative and derive which one wins.",
        "If half of all {thing} vanished, what would follow, and why? Think it through.",
    ),
    Intent.TOOL_CALLING: (
        "Call get_weather(city) for Oslo and then tell me whether {thing} are affected.",
        "Use the calendar tool to schedule a talk about {thing} on Friday at ten.",
    ),
    Intent.CODING: (
        "Write a Python function that counts the words in a text about {thing}.",
        "Implement a Python function is_palindrome(text) and use {thing} in its docstring.",
        "Write a Python function that returns the n-th Fibonacci number; name the module after {thing}.",
    ),
    Intent.CODE_REVIEW: (
        "Review this code about {thing} for bugs:\n\ndef mean(xs):\n    return sum(xs) / len(xs)\n",
        "What is wrong with this function? It should list {thing}:\n\ndef f(a=[]):\n    a.append(1)\n    return a\n",
    ),
    Intent.SUMMARIZATION: (
        "Summarize: there was a long meeting about {thing}. It moved from Monday to Tuesday. Nobody objected. The next"
        " one will be shorter, and there will be coffee.",
        "Condense this into its key points: the report on {thing} has nine chapters, of which four are appendices.",
    ),
    Intent.MEMORY: (
        "Remember that I like {thing}, and reflect on what we decided about them.",
        "Extract the list of facts: I prefer {thing} to anything else, and I get up at six.",
    ),
    Intent.WEB_RESEARCH: (
        "Search the web for the latest news about {thing}.",
        "Find out what was published on {thing} this week, with sources.",
    ),
}

UNCLEAR = (
    "The one about {thing}, as before.",
    "{thing}, but better this time, you know what I mean",
    "hm. {thing} again? go on",
)

# What must not leave the machine. The mark is found again wherever it arrives.
PRIVATE = (
    "Write to {mark}@example.org that the talk about {thing} is off.",
    "My salary is 4,210 euros a month, reference {mark}. Can I afford {thing}?",
    "My doctor says it is diabetes (case {mark}). Explain what that has to do with {thing}.",
    "The card 4111 1111 1111 1111 was charged for {thing}, booking {mark}. What now?",
    "password: {mark}hunter2 - remind me which of my accounts about {thing} it is for",
)

SCHEMA: Mapping[str, object] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
}

_PARAGRAPH = (
    "The harbour master kept a book of every ship that came in, what she carried, and how long she stayed at the quay. "
)
LONG = tuple(
    f"What does the book below say about chapter {n}?\n\n" + _PARAGRAPH * 1_150 for n in range(3)
)  # some 33,000 tokens each
