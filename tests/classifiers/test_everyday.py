"""Sixty everyday prompts, written before the scorer was tuned on plain chat and kept out of its examples.

They are by the same hand as the examples: a promise about prompts like these, not a measurement on strangers.
What is abstained from costs a call of a cloud classifier; what is answered is meant to be right.
"""

from __future__ import annotations

from understudy.classifiers import examples
from understudy.classifiers.local import LocalScorer
from understudy.types import Intent

EVERYDAY: dict[Intent, tuple[str, ...]] = {
    Intent.QUICK_QA: (
        "What is the capital of France?",
        "who wrote hamlet",
        "How many legs does a spider have?",
        "what's the speed of light",
        "Who discovered penicillin?",
        "What does RSVP stand for?",
        "When did World War I end?",
        "what is an adverb",
        "Why do cats purr?",
        "How do vaccines work?",
        "Which language is spoken in Brazil?",
        "translate 'good morning' into Japanese",
        "Is glass a liquid?",
        "What's the tallest animal in the world?",
    ),
    Intent.REASONING: (
        "Prove that sqrt(2) is irrational",
        "A train leaves at 3 pm at 60 mph and another at 4 pm at 80 mph on the same track. When does it catch up?",
        "If all bloops are razzies and all razzies are lazzies, are all bloops lazzies?",
        "What is 15% of 240?",
        "Should I rent or buy a flat if I plan to stay four years? Weigh the pros and cons step by step.",
        "Solve for x: 3x + 7 = 22",
        "Anna is older than Ben, Ben is older than Carl. Who is the youngest?",
    ),
    Intent.TOOL_CALLING: (
        "Set a timer for 10 minutes",
        "remind me to call the dentist at 3pm",
        "Book a table for two at an Italian restaurant on Friday",
        "turn off the bedroom lights",
        "Send an email to the team saying the meeting is moved to 4",
        "play some jazz",
        "add eggs and flour to the shopping list",
    ),
    Intent.CODING: (
        "Write a Python function that checks whether a number is prime",
        "how do I reverse a linked list in Java",
        "Create a React component for a login form",
        "SQL query to get the second highest salary",
        "write a bash script that renames all jpg files in a folder",
        "Implement binary search in C++",
        "regex to match an ISO date",
        "Give me a Dockerfile for a small Flask app",
    ),
    Intent.CODE_REVIEW: (
        "Fix this bug: def f(x): retrun x + 1",
        "Why does my code throw an IndexError?\n\nitems = [1, 2, 3]\nprint(items[3])",
        "Review this function:\n\ndef avg(xs):\n    return sum(xs) / len(xs)",
        "What's wrong with this loop? for (int i = 0; i <= arr.length; i++) sum += arr[i];",
        "Can you spot the memory leak here?\n\nchar *p = malloc(10);\np = malloc(20);\nfree(p);",
        "my unit test fails with 'NoneType' object is not subscriptable, here is the code:\n\n"
        "u = find(3)\nprint(u['a'])",
        'Is this SQL safe? query = "SELECT * FROM users WHERE name = \'" + name + "\'"',
    ),
    Intent.SUMMARIZATION: (
        "Summarize the following text: The industrial revolution began in Britain in the late 18th century. "
        "Machines replaced hand work, towns grew, and railways joined them.",
        "tl;dr of this please:\n\nThe committee met for three hours. Most of the time went to the car park, which "
        "will be closed from May. The new sign was approved. Nobody objected to the minutes.",
        "Give me the key points of this email: Hi all, the launch moves to June because the supplier is late. "
        "Marketing should hold the campaign. Budget stays as it is. Thanks, Kim",
        "Shorten this paragraph to two sentences: Bees are important for farming. They carry pollen from plant to "
        "plant. Without them many fruits would not grow. Their number has fallen for years.",
        "What are the main takeaways from this article?\n\nResearchers followed 900 sleepers over ten years. Those "
        "who slept less than six hours were ill more often. Naps did not make up for it.",
        "Write a one paragraph abstract of the following report.\n\nThe bridge was inspected in spring. Two bearings "
        "are worn. The deck is sound. Repairs are proposed for autumn at a cost of 40,000 euros.",
    ),
    Intent.MEMORY: (
        "What did I say my favourite colour was?",
        "Remember that my daughter is allergic to peanuts",
        "Do you remember what we talked about last time?",
        "What was the name of the hotel I told you about?",
        "Forget what I told you about my job",
    ),
    Intent.WEB_RESEARCH: (
        "What's the weather in Berlin today?",
        "Who won the game last night?",
        "latest news about the election",
        "What is the current price of gold?",
        "Find recent studies on intermittent fasting and cite your sources",
        "What time does the museum of modern art open this Sunday?",
    ),
}
PROMPTS = [(text, intent) for intent, texts in EVERYDAY.items() for text in texts]


def test_the_list_is_fresh() -> None:
    assert len(PROMPTS) == 60
    trained = {e.text.strip(" ?.!").lower() for e in examples.read()}
    assert not [text for text, _ in PROMPTS if text.strip(" ?.!").lower() in trained]


def test_most_everyday_prompts_are_answered_and_answered_right() -> None:
    scorer = LocalScorer.load()
    answered = [(guess, intent) for text, intent in PROMPTS if not (guess := scorer.guess(text)).abstain]
    assert len(answered) / len(PROMPTS) >= 0.8
    assert sum(guess.intent is intent for guess, intent in answered) / len(answered) >= 0.95
