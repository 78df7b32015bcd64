from __future__ import annotations

import pytest

from understudy.classifiers.steps import has_several_steps


@pytest.mark.parametrize(
    "text",
    [
        "First write a parser for the log format, then compute the averages and finally plot them.",
        "Do this:\n1. Read the csv\n2. Compute the mean\n3. Write a report",
        "Research the three best laptops, then compare them in a table.",
        "Find a hotel in Rome. Book it. Send the confirmation to the team.",
        "- create the database\n- write the API\n- deploy it",
        "Fix the bug in the parser and then add a test for it.",
        "Zuerst suche drei Quellen, danach fasse sie zusammen.",
        "Translate the article into English, after that summarize it in five bullets",
    ],
)
def test_several_steps(text: str) -> None:
    assert has_several_steps(text)


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of Norway?",
        "",
        "How do I fix a bug and then add a test?",
        "If it rains, what happens then?",
        "Why does my code first print 1 and then 2?",
        "Explain this:\n```python\n# 1. read the file\n# 2. write the result\ndo()\n```",
        "Summarize this recipe:\n\n1. Mix the flour\n2. Add the eggs\n3. Check the oven",
        "Translate:\n\nFirst open the door, then close the window.",
        "Tom had 5 apples, then he bought 3. How many has he?",
        "Write a function that adds two numbers",
        'Is this right? """First write the text, then send it."""',
        "> First write the text, then send it.\n\nWho said that?",
    ],
)
def test_one_step(text: str) -> None:
    assert not has_several_steps(text)


def test_hostile_texts_end() -> None:
    for unit in ("first write ", "then ", "write. ", "1. write\n", "```", '"""', "write a, then "):
        has_several_steps(unit * 20_000)
