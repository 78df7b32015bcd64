# ruff: noqa: E501  a table: one row a line reads better than wrapped ones
"""What the simulated models know: a few functions, capitals, and the words by which task types are told apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snippet:
    """A small program: the words that ask for it, its function, its source, and examples (call, expected value)."""

    words: str  # a regular expression
    name: str
    code: str
    examples: tuple[tuple[str, str], ...]


SNIPPETS = (
    Snippet(
        r"fibonacci|\bfib\b",
        "fibonacci",
        'def fibonacci(n: int) -> int:\n    """Return the n-th Fibonacci number, counting from fibonacci(0) == 0."""\n'
        '    if n < 0:\n        raise ValueError("n must not be negative")\n    a, b = 0, 1\n'
        "    for _ in range(n):\n        a, b = b, a + b\n    return a\n",
        (("fibonacci(0)", "0"), ("fibonacci(1)", "1"), ("fibonacci(10)", "55")),
    ),
    Snippet(
        r"factorial",
        "factorial",
        'def factorial(n: int) -> int:\n    """Return n!; n must not be negative."""\n'
        '    if n < 0:\n        raise ValueError("n must not be negative")\n    result = 1\n'
        "    for factor in range(2, n + 1):\n        result *= factor\n    return result\n",
        (("factorial(0)", "1"), ("factorial(5)", "120")),
    ),
    Snippet(
        r"\bprimes?\b",
        "is_prime",
        'def is_prime(n: int) -> bool:\n    """Return whether n is a prime number."""\n'
        "    if n < 2:\n        return False\n    divisor = 2\n    while divisor * divisor <= n:\n"
        "        if n % divisor == 0:\n            return False\n        divisor += 1\n    return True\n",
        (("is_prime(1)", "False"), ("is_prime(2)", "True"), ("is_prime(91)", "False"), ("is_prime(97)", "True")),
    ),
    Snippet(
        r"palindrom",
        "is_palindrome",
        'def is_palindrome(text: str) -> bool:\n    """Return whether text reads the same both ways, '
        'letters and digits only."""\n    kept = [c.lower() for c in text if c.isalnum()]\n    return kept == kept[::-1]\n',
        (("is_palindrome('Never odd or even')", "True"), ("is_palindrome('prompt')", "False")),
    ),
    Snippet(
        r"revers\w+ (?:a |the |of a )?(?:string|text|word)|string revers",
        "reverse",
        'def reverse(text: str) -> str:\n    """Return text back to front."""\n    return text[::-1]\n',
        (("reverse('abc')", "'cba'"), ("reverse('')", "''")),
    ),
    Snippet(
        r"fizz ?buzz",
        "fizzbuzz",
        'def fizzbuzz(n: int) -> list[str]:\n    """Return the FizzBuzz words for 1..n."""\n    words: list[str] = []\n'
        '    for i in range(1, n + 1):\n        word = ("Fizz" if i % 3 == 0 else "") + ("Buzz" if i % 5 == 0 else "")\n'
        "        words.append(word or str(i))\n    return words\n",
        (("fizzbuzz(3)", "['1', '2', 'Fizz']"), ("fizzbuzz(15)[-1]", "'FizzBuzz'")),
    ),
    Snippet(
        r"\bgcd\b|greatest common divisor",
        "gcd",
        'def gcd(a: int, b: int) -> int:\n    """Return the greatest common divisor."""\n'
        "    while b:\n        a, b = b, a % b\n    return abs(a)\n",
        (("gcd(12, 18)", "6"), ("gcd(7, 0)", "7")),
    ),
    Snippet(
        r"binary search",
        "binary_search",
        'def binary_search(items: list[int], target: int) -> int:\n    """Return the index of target in sorted items, '
        'or -1."""\n    low, high = 0, len(items) - 1\n    while low <= high:\n        middle = (low + high) // 2\n'
        "        if items[middle] == target:\n            return middle\n        if items[middle] < target:\n"
        "            low = middle + 1\n        else:\n            high = middle - 1\n    return -1\n",
        (("binary_search([1, 3, 5], 5)", "2"), ("binary_search([1, 3, 5], 4)", "-1")),
    ),
    Snippet(
        r"anagram",
        "is_anagram",
        'def is_anagram(a: str, b: str) -> bool:\n    """Return whether a and b use the same letters, case aside."""\n'
        "    return sorted(a.replace(' ', '').lower()) == sorted(b.replace(' ', '').lower())\n",
        (("is_anagram('Listen', 'Silent')", "True"), ("is_anagram('ab', 'abb')", "False")),
    ),
    Snippet(
        r"count\w* (?:the )?(?:number of )?words|word (?:count|frequenc)",
        "count_words",
        'def count_words(text: str) -> dict[str, int]:\n    """Return how often each lower-cased word occurs."""\n'
        "    counts: dict[str, int] = {}\n    for word in text.lower().split():\n"
        "        counts[word] = counts.get(word, 0) + 1\n    return counts\n",
        (("count_words('a b a')", "{'a': 2, 'b': 1}"), ("count_words('')", "{}")),
    ),
    Snippet(
        r"flatten",
        "flatten",
        'def flatten(items: list) -> list:\n    """Return the leaves of nested lists, in order."""\n    flat: list = []\n'
        "    for item in items:\n        flat.extend(flatten(item) if isinstance(item, list) else [item])\n"
        "    return flat\n",
        (("flatten([1, [2, [3]]])", "[1, 2, 3]"), ("flatten([])", "[]")),
    ),
    Snippet(
        r"\bsort",
        "merge_sort",
        'def merge_sort(items: list) -> list:\n    """Return the items in ascending order."""\n    if len(items) < 2:\n'
        "        return list(items)\n    middle = len(items) // 2\n    left, right = merge_sort(items[:middle]), "
        "merge_sort(items[middle:])\n    merged: list = []\n    while left and right:\n"
        "        merged.append(left.pop(0) if left[0] <= right[0] else right.pop(0))\n    return merged + left + right\n",
        (("merge_sort([3, 1, 2])", "[1, 2, 3]"), ("merge_sort([])", "[]")),
    ),
    Snippet(
        r"\b(?:adds?|sums?) (?:of )?(?:two|2)|two numbers|\badd\(",
        "add",
        'def add(a: float, b: float) -> float:\n    """Return the sum of a and b."""\n    return a + b\n',
        (("add(2, 3)", "5"), ("add(-1, 1)", "0")),
    ),
)

CAPITALS = {
    "france": "Paris", "germany": "Berlin", "italy": "Rome", "spain": "Madrid", "portugal": "Lisbon",
    "austria": "Vienna", "switzerland": "Bern", "poland": "Warsaw", "japan": "Tokyo", "china": "Beijing",
    "india": "New Delhi", "canada": "Ottawa", "australia": "Canberra", "egypt": "Cairo", "kenya": "Nairobi",
    "norway": "Oslo", "sweden": "Stockholm", "denmark": "Copenhagen", "finland": "Helsinki", "greece": "Athens",
}  # fmt: skip

# (task type, words that speak for it), asked in this order: the most telling first.
INTENT_WORDS = (
    ("code_review", r"\b(?:review|critique|audit)\b|\bdebug|\bfix (?:this|the|my)\b|what.{0,12}wrong with|find.{0,12}bugs?"),
    ("summarization", r"\bsummar|\btl;?dr\b|\bcondense|\bcompact (?:this|the)|\bshorten\b|key points"),
    ("web_research", r"\b(?:latest|newest|today'?s?|this week|currently|news)\b|\bsearch (?:the web|online|for)|look up|https?://"),
    ("memory", r"\bremember\b|\brecall\b|what did (?:i|we) (?:say|decide)|\breflect\b|list of facts|extract.{0,20}facts"),
    ("coding", r"\b(?:write|implement|create|build|refactor|port|code)\b.{0,60}\b(?:function|class|script|program|code|test|tests|api|"
               r"module|endpoint|parser|algorithm|python|javascript|rust|sql)\b|```|\bdef \w+\(|unit tests?|pytest"),
    ("tool_calling", r"\b(?:book|schedule|send|set|turn (?:on|off)|play|order|remind|call|e-?mail|create an? (?:event|ticket))\b"),
    ("reasoning", r"\b(?:why|prove|derive|compare|trade-?offs?|analy[sz]e|step by step|puzzle|how many|how much|"
                  r"explain how|strategy)\b|\bif .{3,80}\bthen\b"),
    ("quick_qa", r"\b(?:what|who|when|where|which|capital|define|meaning)\b|\?"),
)  # fmt: skip

# Names of specialists that other prompts may offer instead of task types.
AGENT_OF = {
    "code_review": ("reviewer", "review"),
    "summarization": ("summarizer", "summary"),
    "web_research": ("researcher", "research"),
    "memory": ("memory",),
    "coding": ("coder", "code"),
    "tool_calling": ("tool-caller", "tool_caller", "tools"),
    "reasoning": ("reasoner", "analysis"),
    "long_context": ("long-context", "long_context"),
    "private": ("private",),
    "quick_qa": ("quick", "qa", "chat"),
}
