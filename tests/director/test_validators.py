"""Each check on answers that must fail and answers that must pass. A false alarm is as bad as a miss."""
# ruff: noqa: E501

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.director.validators import check_schema, parse_json, validate, validators
from understudy.errors import ToolFailed, UsageError
from understudy.types import Answer, Check, Task, Turn, Usage

ESSAY = (
    "Rate limits protect a service from overload. When a client sends too many requests, the server answers with "
    "HTTP 429 Too Many Requests and usually a retry-after header. A client should wait that long, then try again with "
    "exponential backoff and jitter, so that many clients do not return at the same moment. "
)


async def passes(name: str, text: str, task: Task | str = "Tell me something.", **answer: Any) -> Check:
    task = Task(task) if isinstance(task, str) else task
    (check,) = await validate(Answer(text, **answer), task, [name])
    assert check.name == name
    return check


# --- not_empty


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t ", "\u200b\ufeff", "<think>hm</think>", "```python\n```", "```\n\n```"]
)
async def test_nothing_is_no_answer(text: str) -> None:
    assert not (await passes("not_empty", text)).passed


@pytest.mark.parametrize("text", ["7", "x", "是", "👍", "0", "-", "<think>7?</think>7", "No.", "none", "```\n1\n```"])
async def test_one_character_is_an_answer(text: str) -> None:
    assert (await passes("not_empty", text, "How many?")).passed


async def test_a_placeholder_is_no_answer_to_a_long_question() -> None:
    task = "Please summarise the following meeting notes and tell me who is responsible for each of the open points."
    assert not (await passes("not_empty", "null", task)).passed
    assert not (await passes("not_empty", "[object Object]", task)).passed
    assert (await passes("not_empty", "none", task + " If there is nobody, answer none.")).passed


# --- not_error

ERRORS = [
    "Error code: 429 - {'error': {'message': 'Rate limit reached for model `llama-3.1-8b-instant`'}}",
    "API Error: 529 Overloaded",
    "API Error: Rate limit reached",
    "API Error: Connection error.",
    "429 Too Many Requests",
    "HTTP/1.1 503 Service Unavailable",
    "502 Bad Gateway",
    "Bad Gateway",
    "Too Many Requests",
    "Internal Server Error",
    "upstream connect error or disconnect/reset before headers. reset reason: connection failure",
    "no healthy upstream",
    "You exceeded your current quota, please check your plan and billing details.",
    "You've reached your usage limit. Upgrade to continue.",
    "Your account is out of credits.",
    "Your account has been suspended due to insufficient balance.",
    "This organization has been restricted. Please reach out to support.",
    "The request timed out.",
    "You have run out of credits. Please add more to continue using the API.",
    "Your organization has exceeded its monthly spend limit",
    "Your credit balance is too low to access the Anthropic API.",
    "Credit balance is too low",
    "Claude AI usage limit reached|1760000000",
    "Claude usage limit reached. Your limit will reset at 3pm.",
    "5-hour limit reached ∙ resets 3pm",
    "Rate limit reached for model `llama-3.3-70b-versatile` in organization `org_x` on tokens per minute (TPM)",
    "rate_limit_exceeded",
    "insufficient_quota",
    "Invalid API key · Please run /login",
    "Not logged in · Please run /login",
    "Incorrect API key provided: sk-xxx.",
    "No models loaded. Please load a model in the developer page.",
    "model 'llama3' not found, try pulling it first",
    "Prompt is too long",
    "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.",
    "Request timed out.",
    "Connection refused",
    "An error occurred while processing your request. Please try again later.",
    "Error: model overloaded, try again",
    'Traceback (most recent call last):\n  File "proxy.py", line 3, in <module>\nValueError: no',
    "litellm.RateLimitError: RateLimitError: GroqException - ",
    "openai.APIConnectionError: Connection error.",
    "TypeError: fetch failed\n    at node:internal/deps/undici/undici:12618:11",
    "<html>\n<head><title>502 Bad Gateway</title></head>\n<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx/1.2</center>",
    "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>cf-ray 1</body></html>",
    "<!DOCTYPE html><html lang=en><title>Access denied | x used Cloudflare to restrict access</title>",
    '{"error": {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}}',
    '{"error":{"code":429,"message":"Resource has been exhausted","status":"RESOURCE_EXHAUSTED"}}',
    '[{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}]',
    '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}',
    '{"error":"You exceeded your current quota"}',
    '{"error": {"message": "bad"}}',
    'data: {"error":{"message":"Internal server error","type":"internal_error"}}',
    '{"object":"error","message":"The model does not exist.","type":"NotFoundError","param":null,"code":404}',
    '{"detail":"Too Many Requests"}',
    # As proxies, clouds, sockets, servers at home and billing write them.
    "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
    "Error: upstream connect error or disconnect/reset before headers",
    "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: remote connection failure, transport failure reason: delayed connect error: 111",
    "upstream request timeout",
    "stream timeout",
    "RBAC: access denied",
    "local_rate_limited",
    "Jwt is expired",
    "no cluster match for URL",
    "504 Gateway Time-out\nnginx/1.25.3",
    "error code: 502",
    "error code: 1015",
    "error code: 524",
    "ThrottlingException: Too many requests, please wait before trying again.",
    "An error occurred (ThrottlingException) when calling the InvokeModel operation (reached max retries: 4): Too many requests, please wait before trying again.",
    "Too many tokens, please wait before trying again.",
    "ServiceUnavailableException: Bedrock is unable to process your request.",
    "Bedrock is unable to process your request.",
    "ModelTimeoutException",
    "The security token included in the request is expired",
    "User: arn:aws:iam::123:user/x is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock",
    "You don't have access to the model with the specified model ID.",
    "Endpoint request timed out",
    "Rate exceeded",
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-02-01 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 6 seconds.",
    "The server had an error while processing your request. Sorry about that!",
    "Access denied due to Virtual Network/Firewall rules.",
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription.",
    "The operation was timeout.",
    "That model is currently overloaded with other requests. You can retry your request, or contact us.",
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.",
    "Resource has been exhausted (e.g. check quota).",
    "429 Resource exhausted. Please try again later.",
    "Deadline Exceeded",
    "504 Deadline Exceeded",
    "The service is currently unavailable.",
    "The model is overloaded. Please try again later.",
    "Error: Server Error\nThe server encountered a temporary error and could not complete your request.\nPlease try again in 30 seconds.",
    "Error 503 Backend fetch failed\nGuru Meditation:\nXID: 123",
    "An invalid response was received from the upstream server",
    "no Route matched with those values",
    "failure to get a peer from the ring-balancer",
    "API rate limit exceeded",
    "FUNCTION_INVOCATION_TIMEOUT",
    "Fastly error: unknown domain: api.x.com. Please check that this domain has been added to a service.",
    "Error: connect ECONNREFUSED 127.0.0.1:11434",
    "TypeError: fetch failed",
    "socket hang up",
    "getaddrinfo ENOTFOUND api.openai.com",
    "read ECONNRESET",
    "HTTPSConnectionPool(host='api.x.com', port=443): Max retries exceeded with url: /v1/chat (Caused by NewConnectionError)",
    "('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))",
    "[Errno 111] Connection refused",
    "curl: (28) Operation timed out after 30000 milliseconds with 0 bytes received",
    "rpc error: code = Unavailable desc = connection error",
    "14 UNAVAILABLE: No connection established",
    "llama runner process has terminated: exit status 2",
    "CUDA out of memory. Tried to allocate 2.00 GiB",
    "CUDA error: out of memory",
    "You have run out of credits. Please top up your account to continue.",
    "Out of credits. Add more at https://x.com/billing",
    "Insufficient balance",
    "Insufficient Balance",
    "Your free trial has ended. Please upgrade to a paid plan to continue.",
    "You've reached your free message limit. Upgrade to Pro to continue.",
    "Key limit exceeded. Manage it using https://openrouter.ai/settings/keys",
    "Free tier limit exceeded",
    "Daily limit reached for this model.",
    "Payment required",
    "Your account has insufficient funds. Please recharge.",
    "Please add a payment method to continue using the API.",
    "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day",
    "Provider returned error",
    "No endpoints found for meta-llama/llama-3",
    "No allowed providers are available for the selected model.",
    "All providers failed",
    "Service Temporarily Unavailable",
    "Gateway Timeout",
    "Request failed with status code 500",
    "The request could not be satisfied.",
    "Sorry, you have been blocked",
    'Error: 529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
    "API Error: 500 Internal server error",
    "Invalid API Key",
    "[Error] upstream timed out (110: Connection timed out) while reading response header from upstream",
    '{"message":"Internal server error"}',
    '{"message": "Endpoint request timed out"}',
    '{"message":"Forbidden"}',
    '{"Message":"User: arn:aws:iam::1:user/x is not authorized to perform: bedrock:InvokeModel"}',
    '{"detail":"Internal Server Error"}',
    '{"detail":"Not authenticated"}',
    '{ "statusCode": 429, "message": "Rate limit is exceeded. Try again in 1 seconds." }',
    '{"fault":{"faultstring":"Rate limit quota violation. Quota limit  exceeded.","detail":{"errorcode":"policies.ratelimit.QuotaViolation"}}}',
    '{"title":"Bad gateway","status":502}',
    '{"errorMessage":"Task timed out after 30.03 seconds"}',
    '{"error_code":17,"error_msg":"Open api daily request limit reached"}',
    '{"success":false,"errors":[{"code":10000,"message":"Authentication error"}],"messages":[],"result":null}',
    '{"message":"API rate limit exceeded","request_id":"x"}',
    '{"error":"Too many requests"}',
    '{"error":"model \'llama3\' not found"}',
    '{"error":{"code":503,"message":"The model is overloaded","status":"UNAVAILABLE"}}',
    '{"timestamp":"2024-01-01T00:00:00Z","status":500,"error":"Internal Server Error","path":"/v1/chat"}',
    '{"ok":false,"error":"rate_limited"}',
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>",
    "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>",
    "<!DOCTYPE html><html><head><title>api.x.com | 524: A timeout occurred</title></head><body>Cloudflare Ray ID: 1</body></html>",
    '<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title></head><body>x</body></html>',
    "<!DOCTYPE html><html><head><title>Our services aren't available right now</title></head><body>We're working to restore all services as soon as possible.</body></html>",
    "<html><head><title>504 Gateway Time-out</title></head></html>",
    "<HTML><HEAD><TITLE>ERROR: The request could not be satisfied</TITLE></HEAD><BODY>Generated by cloudfront (CloudFront)</BODY></HTML>",
    "<!-- a padding to disable MSIE and Chrome friendly error page -->\n<html>\n<head><title>502 Bad Gateway</title></head></html>",
]


@pytest.mark.parametrize("text", ERRORS)
async def test_an_error_is_no_answer(text: str) -> None:
    assert not (await passes("not_error", text, "What is the capital of France, and since when?")).passed
    assert not (await passes("not_error", text, "Write a haiku about spring")).passed


@pytest.mark.parametrize("text", ERRORS)
async def test_nor_is_it_for_a_task_about_messages_logs_or_pages(text: str) -> None:
    for asked in ("Make me an html web page about cats.", "Summarize this log of the ship's journey."):
        assert not (await passes("not_error", text, asked)).passed, asked


FINE = [
    ("What does 429 mean?", "429 Too Many Requests means that you sent too many requests in a given time."),
    ("What is HTTP 502?", "502 Bad Gateway: the proxy got an invalid answer from the server behind it."),
    ("Tell me about backoff.", ESSAY),
    ("How do I throttle?", "When you have exceeded a limit, wait. " + ESSAY),
    ("Name the largest error in the text.", "Error: the date is wrong."),
    (
        "Write an nginx error page",
        "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>",
    ),
    (
        "Build me a small landing site",
        "<!DOCTYPE html><html><head><title>My bakery</title></head><body><h1>Bread</h1></body></html>",
    ),
    ("Give an example of an API error response as JSON", '{"error": {"message": "Not found", "code": 404}}x'),
    ("Which Python exception?", "Traceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 'a'"),
    ("Write a function that raises", "def f():\n    raise ValueError('error: rate limit exceeded')"),
    ("Log levels?", "error, warning, info"),
    ("What is 400 + 29?", "429"),
    ("How many?", "500"),
    ("When was the battle?", "404 BC was the year Athens surrendered; not 500."),
    ("Who won?", "429 people voted and Smith won."),
    ("Extract", '{"error": false, "items": [1, 2]}'),
    ("Extract", '{"error": null, "message": "hello"}'),
    ("Extract", '{"name": "a", "error": {"message": "timeout", "type": "rate_limit"}}'),
    ("Extract the fields", '{"status": "ok", "code": 200}'),
    ("Quiz", "Connection pooling reuses sockets so that a request need not wait for a handshake."),
    ("Who?", "Model T not found in the museum was built in 1908, according to the guide."[8:]),
    ("Advice?", "You have reached a good point to stop and rest."),
    ("Advice?", "Your account of the events is convincing, and the balance of the story is good."),
    ("Who?", "The account was suspended over the fireplace, as the painter wished."[4:]),
    ("Why?", "The request timed out of courtesy: nobody wanted to hear the answer, and so the council moved on."),
    ("Speed limit?", "The speed limit is 50; if you exceed it you pay a fine."),
    (
        "Poem",
        "Service unavailable, the kitchen dark and still, / the waiter gone, the bread upon the sill." + " la" * 200,
    ),
    (
        "What does Envoy print when it cannot reach a backend? Only the text.",
        "upstream connect error or disconnect/reset before headers",
    ),
    ("Which text does nginx send when the backend is down?", "502 Bad Gateway"),
    ("Write a message that tells users the request timed out.", "Request timed out. Please try again."),
    ("Write a polite error message for an empty cart.", "Error: your cart is empty. Please add an item."),
    ("What is HTTP 504?", "504 Gateway Timeout"),
    ("Give me a sentence with the word upstream.", "Upstream, the salmon leap against the current."),
    ("What do salmon do?", "Upstream migration: they swim to where they were born."),
    ("How do fish travel to spawn?", "Upstream requests a great deal of strength from salmon."),
    ("What is a stream timeout in Envoy?", "A stream timeout is the time Envoy waits for a whole stream."),
    ("What is error in statistics?", "Error: the difference between a measured value and the true value."),
    ("What happened at work?", "The server brought us the wrong soup, and the kitchen was overloaded."),
    ("Which gateways does Bilbo use?", "Gateway: the round green door of Bag End."),
    (
        "Write an HTML 404 page.",
        "<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1></body></html>",
    ),
    (
        "Make an html page for my bakery",
        "<!DOCTYPE html><html><head><title>Bakery</title></head><body><h1>Fresh bread</h1><p>no error here</p></body></html>",
    ),
    (
        "Make an html page with a sign in form",
        "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Log in</h1></body></html>",
    ),
    (
        "Make a web page for our maintenance window",
        "<!DOCTYPE html><html><head><title>Service unavailable</title></head><body><h1>We are down for maintenance</h1></body></html>",
    ),
    ("I get ECONNREFUSED from my app, what prints it in node?", "Error: connect ECONNREFUSED 127.0.0.1:11434"),
    ("What should a bank say when the balance is too low?", "Insufficient balance"),
    ("How does a bank app tell that there's no money left?", "Insufficient funds"),
    (
        "Say in one line that our trial is over.",
        "Your free trial has ended. Please upgrade to a paid plan to continue.",
    ),
    (
        "Draft a notice for customers who used all credits.",
        "You have run out of credits. Please top up your account to continue.",
    ),
    ("Translate into English: Die Verbindung wurde abgelehnt", "Connection refused"),
    ("Translate to English: Zeitüberschreitung der Anfrage", "The request timed out."),
    ("Übersetze: Accès refusé", "Access denied"),
    ("Extract the cause from: dial tcp: connection refused", "connection refused"),
    ("Complete: The model is", "The model is overloaded with parameters."),
    ("What is a model?", "The model is a person who poses for artists."),
    ("Summarize: the team exceeded its goals", "The team exceeded its goals."),
    (
        "Is the restaurant full?",
        "Service is currently unavailable on Mondays, so they have room on Tuesdays only if you call.",
    ),
    ("JSON of a person", '{"message": "hello", "status": "ok"}'),
    ("Give a JSON greeting", '{"message": "Welcome to our shop!"}'),
    ("Give JSON with title and status of the book", '{"title": "Dune", "status": 1}'),
    ("Give me JSON describing the movie", '{"title":"Gateway","status":200}'),
    ("Return a sample API response as json for login failing", '{"error": "invalid password"}'),
    ("Python exception hierarchy?", "Exception: the base of most. ValueError: wrong value."),
    ("What did the curl say?", "curl: (28) Operation timed out after 30000 milliseconds"),
    ("What is the limit of 1/x?", "Limit: 0"),
    ("What is rate limiting?", "Rate limiting caps how many requests a client may make."),
    ("Write a haiku about networks.", "Socket hang up, then / silence on the wire at dusk / packets dream of home"),
    ("Who are you?", "I am a model. The model is trained by a lab."),
    (
        "why did the deadline matter?",
        "Deadline exceeded expectations of nobody; they shipped anyway, and the client was happy.",
    ),
    ("What does a 402 mean?", "Payment required"),
    ("Sentence about daily limits of sugar", "Daily limit reached for most adults: 25 grams of sugar."),
]


@pytest.mark.parametrize(("task", "text"), FINE)
async def test_an_answer_about_errors_is_fine(task: str, text: str) -> None:
    check = await passes("not_error", text, task)
    assert check.passed, check.reason


async def test_a_question_goes_on_from_the_one_before() -> None:
    before = (Turn("What does Envoy print when nobody is there?", "Two lines and a code."),)
    task = Task("Only the text, please.", history=before)
    assert (await passes("not_error", "no healthy upstream", task)).passed


async def test_a_body_of_an_error_for_who_asks_for_one() -> None:
    body = '{"error": {"message": "Rate limit reached", "type": "tokens"}}'
    assert (await passes("not_error", body, "Show me the JSON body of a 429 error of OpenAI, nothing else.")).passed


async def test_a_data_task_may_have_an_error_key() -> None:
    task = Task("Parse", schema={"type": "object"})
    assert (await passes("not_error", '{"error": {"message": "x", "type": "error"}}', task)).passed


@pytest.mark.parametrize("finish", ["error", "content_filter"])
async def test_a_finish_that_is_none(finish: str) -> None:
    assert not (await passes("not_error", "Paris", finish=finish)).passed


# --- not_refusal

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I can’t assist with that request.",
    "I am sorry, but I cannot provide this information.",
    "I cannot help with this.",
    "I can't assist with that. If you have another question, feel free to ask!",
    "Unfortunately, I cannot fulfill this request as it violates the policy.",
    "I'm unable to help with that request.",
    "I won't provide instructions for this.",
    "I must respectfully decline this request.",
    "As an AI language model, I cannot browse the internet or form opinions.",
    "Sorry, but I can't share that.",
    "Your request was flagged as potentially violating our usage policy.",
    "Es tut mir leid, aber dabei kann ich Ihnen nicht helfen.",
    "Tut mir leid, das kann ich nicht beantworten.",
    "Je suis désolé, mais je ne peux pas vous aider avec cela.",
    "Désolé, je ne peux pas répondre à cette demande.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "Desculpe, mas não posso ajudar com isso.",
    "Mi dispiace, ma non posso aiutarti con questa richiesta.",
    "Het spijt me, maar ik kan u daar niet mee helpen.",
    "Przepraszam, ale nie mogę w tym pomóc.",
    "Извините, но я не могу помочь с этим.",
    "申し訳ありませんが、その質問にはお答えできません。",
    "很抱歉，我无法提供这方面的帮助。",
    "我无法协助您完成这个请求。",
    "죄송하지만 그 요청은 도와드릴 수 없습니다.",
    "عذرًا، لا أستطيع المساعدة في ذلك.",
]


@pytest.mark.parametrize("text", REFUSALS)
async def test_a_refusal_is_no_answer(text: str) -> None:
    assert not (await passes("not_refusal", text, "How do I pick a lock?")).passed


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (
            "Why do models refuse?",
            "Models refuse when a policy says so. They write 'I cannot help with that' and stop.",
        ),
        ("What do I do?", "I'm sorry to hear that. Rest, drink water, and see a doctor if the fever lasts."),
        ("What do I do?", "I'm sorry for your loss. Call the office first; they can help you with the forms."),
        ("Can penguins fly?", "No, penguins cannot fly."),
        ("Is it possible?", "I can't see any reason why not."),
        ("What is your view?", "I cannot recommend this book enough!"),
        ("Translate to English: es tut mir leid, ich kann nicht kommen", "I'm sorry, but I can't come."),
        ("Write an email declining the invitation", "I'm sorry, but I can't attend on Friday."),
        ("Summarise", "I cannot provide the number, but the report says growth. " + ESSAY * 2),
        ("Kannst du das?", "Leider war der Sommer verregnet, sagt der Bericht, und die Ernte fiel klein aus."),
        ("Wer?", "Ich kann nicht schlafen ist ein Lied von Element of Crime."[4:]),
        ("Was?", "Entschuldigung heißt auf Spanisch perdón."),
        ("Fix it", "I can't find a bug in `f`, but this is shorter:\n```python\ndef f(): return 1\n```"),
        ("Who said it?", "As an artist, he could not accept the prize."),
        ("What does it say?", "This request for comments describes HTTP."),
        ("Answer yes or no", "No."),
        ("JSON?", '{"answer": "I cannot help with that"}'),
    ],
)
async def test_an_answer_that_mentions_a_refusal_is_fine(task: str, text: str) -> None:
    check = await passes("not_refusal", text, task)
    assert check.passed, check.reason


# --- not_truncated


@pytest.mark.parametrize(
    "text",
    [
        "Here:\n```python\ndef f():\n    return",
        "~~~\nx",
        '{"a": 1, "b": [1, 2',
        '{"a": "unfinis',
        "[1, 2,",
        '[{"a": 1}, {"b"',
        "{",
        "<think>I wonder whether",
        "````\n```\ninner\n```",
        "Sure! ```json\n{}\n```\nAnd now the code:\n```python\nx =",
    ],
)
async def test_what_is_cut_off_is_no_answer(text: str) -> None:
    assert not (await passes("not_truncated", text)).passed


@pytest.mark.parametrize(
    "text",
    [
        "Paris",
        "Here:\n```python\nx = 1\n```\nDone.",
        "````md\n```\ninner\n```\n````",
        '{"a": 1}',
        "[1, 2, 3]",
        "[Note: this is prose",
        "[citation needed] is a tag (and more",
        "{curly} words",
        "{x | x > 0} is a set",
        "Use a ``` fence in the middle of a line",
        "[1] Knuth, The Art of Computer Programming",
        "~~struck~~",
        "~~~\nx\n~~~",
        "- a\n  ```\n  code\n  ```",
        "{'a': 1}",
        'Sure! ```json\n{"city": "Paris"}\n```',
        "- ```python\n  x = 1\n  ```",
    ],
)
async def test_what_is_whole_is_fine(text: str) -> None:
    check = await passes("not_truncated", text)
    assert check.passed, check.reason


async def test_the_provider_says_that_it_was_cut() -> None:
    assert not (await passes("not_truncated", "Paris is", finish="length")).passed


# --- language

DE = "Die Hauptstadt von Frankreich ist Paris, und sie liegt an der Seine. Die Stadt ist mit mehr als zwei Millionen Einwohnern die größte des Landes und wird von vielen Touristen besucht."
EN = "The capital of France is Paris, and it lies on the Seine. The city is with more than two million people the largest of the country and it is visited by many tourists from all over the world."
FR = "La capitale de la France est Paris, et elle se trouve sur la Seine. La ville est avec plus de deux millions d'habitants la plus grande du pays et elle est visitée par des touristes dans le monde."
ES = "La capital de Francia es París, y está en el Sena. La ciudad es con más de dos millones de habitantes la más grande del país y es visitada por muchos turistas de todo el mundo."
RU = "Столица Франции — Париж, он стоит на Сене и является самым большим городом страны."
ZH = "法国的首都是巴黎，位于塞纳河畔，是全国最大的城市，每年有许多游客前来参观。"
JA = "フランスの首都はパリで、セーヌ川のほとりにあります。"


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("What is the capital of France? Answer in German.", EN),
        ("What is the capital of France? Answer in German.", FR),
        ("Was ist die Hauptstadt von Frankreich? Antworte auf Englisch.", DE),
        ("Translate the following into French: " + EN, EN),
        ("Translate to Spanish:\n" + EN, EN),
        ("What is the capital of France? Reply in Russian", EN),
        ("What is the capital of France? Respond in Chinese.", JA[:0] + RU),
        ("Was ist die Hauptstadt von Frankreich und wie viele Menschen leben in der Stadt?", EN),
        ("Was ist die Hauptstadt von Frankreich und wie viele Menschen leben in der Stadt?", ZH),
        ("What is the capital of France and how many people live in the city?", DE),
        ("What is the capital of France and how many people live in the city?", ZH),
        ("法国的首都是哪里？请告诉我一些关于它的信息", EN),
        ("Какая столица Франции и сколько людей там живёт?", EN),
    ],
)
async def test_another_language_is_no_answer(task: str, text: str) -> None:
    assert not (await passes("language", text, task)).passed


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("What is the capital of France? Answer in German.", DE),
        ("What is the capital of France? Answer in German.", "Paris."),
        ("What is the capital of France and where is it?", EN),
        ("Was ist die Hauptstadt von Frankreich und wo liegt sie?", DE),
        ("Translate into English: " + DE, EN),
        ("Übersetze das ins Englische: " + DE, EN),
        ("Translate this: " + DE, EN),
        ("Translate this: " + EN, DE),
        ("How do you say 'the capital of France' in Spanish? Explain it.", EN),
        ("What does 'Die Hauptstadt ist an der Seine und nicht an der Loire' mean?", EN),
        ("Explain the German word Schadenfreude to me, and the history of the word", EN),
        ("capital france", FR),
        ("capital france", ZH),
        (
            "Write a poem in Italian about the sea",
            "Il mare è blu e la luna non è qui, ma le onde sono come le stelle della notte e di te che non ci sei più.",
        ),
        (
            "Explain list comprehensions to me and how they are used in the language",
            "```python\n# die das und ist nicht ein eine zu den mit von für auf des\n```",
        ),
        ("What is the title of the book and who is the author of it?", "»" + DE + "«"),
        ("东京的首都是哪里？", JA),
        ("Quelle est la capitale de la France et où est elle?", FR),
        ("Cual es la capital de Francia y donde esta?", ES),
    ],
)
async def test_the_right_language_or_too_little_to_tell_is_fine(task: str, text: str) -> None:
    check = await passes("language", text, task)
    assert check.passed, check.reason


# --- format


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("List the planets as a bulleted list", "There are eight planets in the solar system. " * 8),
        ("Summarize this in three bullet points.", ESSAY),
        ("Give me the result as JSON only.", "The result is forty-two."),
        ("Return valid JSON with the name and age: Bob is 3", "name: Bob"),
        ("Compare cats and dogs in a table.", "Cats are small. Dogs are larger."),
        ("What is the capital of France? Answer in one word.", "The capital of France is the city of Paris."),
        ("Is water wet? Answer yes or no.", "That depends on what one means by wet."),
        ("Describe Paris in one sentence.", "It is big. It is old. It is on the Seine."),
        ("Explain gravity in two sentences.", "A. B is. C is. D is. E is."),
        ("Give me exactly 3 bullet points on tea.", "- a b\n- c d\n- e f\n- g h\n- i j\n- k l"),
    ],
)
async def test_another_form_is_no_answer(task: str, text: str) -> None:
    assert not (await passes("format", text, task)).passed


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("List the planets as a bulleted list", "- Mercury\n- Venus"),
        ("List the planets as a bulleted list", "* Mercury\n* Venus"),
        ("List the planets as a numbered list", "1. Mercury\n2) Venus"),
        ("Summarize this in three bullet points.", "Here they are:\n\n- a\n- b\n- c"),
        ("What metal is used in bullets?", "Lead, mostly, with a copper jacket."),
        ("In the war, bullets were made of lead. Why?", "It is dense and soft."),
        ("Give me the result as JSON only.", '```json\n{"a": 1}\n```'),
        ("Give me the result as JSON only.", "42"),
        ("Write a function that returns the data as JSON", "def f():\n    return json.dumps(1)"),
        ("Why does my server return invalid JSON?", "It appends a newline."),
        ("Compare cats and dogs in a table.", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("Compare cats and dogs in a table.", "<table><tr><td>1</td></tr></table>"),
        ("How do I create a table in SQL?", "Use CREATE TABLE."),
        ("Where do I put the lamp, on the desk or in the table?", "On the desk."),
        ("What is the capital of France? Answer in one word.", "Paris"),
        ("What is the capital of France? Answer in one word.", "**Paris.**"),
        ("What is the largest city? Answer in one word.", "New York City"),
        ("In one word or a short sentence, what is it?", "It is a mineral found in caves."),
        ("Is water wet? Answer yes or no.", "Yes."),
        ("Is water wet? Answer yes or no and explain.", "Yes, because it clings to itself and other things."),
        (
            "Describe Paris in one sentence.",
            "Paris, e.g. the part on the Seine with approx. 2.1 million people, is old.",
        ),
        ("Describe Paris in one sentence.", "Paris is old"),
        ("Explain gravity in two sentences.", "Mass attracts mass. Dr. Newton said so in ca. 1687."),
        ('Explain the phrase "answer in one word" to me', "It means that the reply should be a single word."),
        ("Summarise in two sentences and then as a table", "A. B. C. D. E."),
    ],
)
async def test_the_form_asked_for_or_none_is_fine(task: str, text: str) -> None:
    check = await passes("format", text, task)
    assert check.passed, check.reason


# --- length


@pytest.mark.parametrize(
    ("task", "count", "ok"),
    [
        ("Write a 100-word summary of the plot", 100, True),
        ("Write a 100-word summary of the plot", 130, True),
        ("Write a 100-word summary of the plot", 300, False),
        ("Write an essay of at least 500 words", 120, False),
        ("Write an essay of at least 500 words", 1500, True),
        ("Answer in at most 50 words.", 49, True),
        ("Answer in at most 50 words.", 3, True),
        ("Answer in at most 50 words.", 120, False),
        ("Write about 200 words on tea", 30, False),
        ("Write between 100-150 words on tea", 140, True),
        ("Write 1,000 words on tea", 950, True),
        ("Write 1,000 words on tea", 20, True),  # "write 1,000 words" may be a phrase; only too many is plain
        ("Why does a picture say more than 1000 words?", 30, True),
        ("Write a function that counts 100 words", 10, True),
        ("The document has 5000 words. Who wrote it?", 3, True),
    ],
)
async def test_word_counts(task: str, count: int, ok: bool) -> None:
    assert (await passes("length", "word " * count, task)).passed is ok


async def test_max_tokens() -> None:
    task = Task("Hi", max_tokens=50)
    assert (await passes("length", "word " * 30, task, usage=Usage(5, 40))).passed
    assert not (await passes("length", "word " * 300, task, usage=Usage(5, 300))).passed
    assert not (await passes("length", "word " * 300, task, usage=Usage(measured=False))).passed
    # Reasoning tokens are counted but are no part of the answer.
    assert (await passes("length", "Paris", task, usage=Usage(5, 900))).passed


# --- schema

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
}
TREE = {
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["v"]}},
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('{"a": 1}', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('Sure!\n```\n{"a": 1}\n```\nThat is it.', {"a": 1}),
        ('```python\nx = {}\n```\n```json\n{"a": 2}\n```', {"a": 2}),
        ('Here it is: {"a": {"b": [1]}} - done {}', {"a": {"b": [1]}}),
        ("<think>{}</think>[1, 2]", [1, 2]),
        ("7", 7),
        ('"x"', "x"),
        ("null", None),
        ("[" * 300 + '{"a": 1}', {"a": 1}),
    ],
)
def test_json_is_found(text: str, data: Any) -> None:
    if text.startswith("[[["):
        with pytest.raises(ValueError):
            parse_json(text)  # only so many starts are tried
    else:
        assert parse_json(text) == data


@pytest.mark.parametrize(
    "text", ["", "no", "{'a': 1}", '{"a": NaN}', "[1, 2", "{" * 100_000, "[" * 100_000, "x" * 2_000_001]
)
def test_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


@pytest.mark.parametrize(
    ("schema", "text", "ok"),
    [
        (PERSON, '{"name": "Bo", "age": 3}', True),
        (PERSON, '```json\n{"name": "Bo", "age": 3}\n```', True),
        (PERSON, '{"name": "Bo", "age": "3"}', False),
        (PERSON, '{"name": "Bo"}', False),
        (PERSON, "Bo is 3", False),
        (PERSON, '{"name": "Bo", "age": -1}', False),
        (TREE, json.dumps({"v": 1, "next": {"v": 2, "next": {"v": 3}}}), True),
        (TREE, json.dumps({"v": 1, "next": {"v": 2, "next": {}}}), False),
        ({}, "7", True),
        ({"type": "string", "pattern": "^([a-z]+-)*[a-z]+$"}, '"a-slug"', True),
        ({"type": "string", "pattern": "^([a-z]+-)*[a-z]+$"}, '"No slug"', False),
    ],
)
async def test_data_against_its_schema(schema: dict[str, Any], text: str, ok: bool) -> None:
    check_schema(schema)
    check = await passes("schema", text, Task("x", schema=schema))
    assert check.passed is ok
    assert ok or check.reason


async def test_the_reason_says_where() -> None:
    check = await passes("schema", '{"name": "Bo", "age": "3"}', Task("x", schema=PERSON))
    assert "$.age" in check.reason


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^(.*a){12}$", "(x+x+)+y", "^(\\s*\\w+\\s*)*$"])
async def test_an_explosive_pattern_is_stopped(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.director.validators.schema._CHILD_SECONDS", 1.0)
    schema = {"type": "string", "pattern": pattern}
    check_schema(schema)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await passes("schema", json.dumps("a" * 60 + "!"), Task("x", schema=schema))
    assert loop.time() - began < 4


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"type": 7},
        {"properties": []},
        {"$ref": "http://169.254.169.254/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "other.json#/a"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#nowhere"},
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"pattern": "("},
        {"pattern": "a" * 1000},
        {"patternProperties": {"[": {}}},
        {"a": {1, 2}},
        {"enum": float},
        {"properties": {f"p{i}": {"type": "string"} for i in range(30_000)}},
        {
            "$defs": {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)} | {"d40": {}},
            "$ref": "#/$defs/d0",
        },
        "text",
        None,
        [],
    ],
)
def test_a_broken_schema_is_a_usage_error(schema: Any) -> None:
    with pytest.raises(UsageError) as caught:
        check_schema(schema)
    assert caught.value.remedy


def test_deep_schemas_are_a_usage_error() -> None:
    schema: dict[str, Any] = {}
    for _ in range(5000):
        schema = {"not": schema}
    with pytest.raises(UsageError):
        check_schema(schema)


def test_a_property_may_be_called_as_a_keyword() -> None:
    check_schema({"properties": {"$ref": {"type": "string"}, "pattern": {"type": "string"}}, "required": ["pattern"]})
    check_schema({"const": {"$ref": "http://example.com/", "pattern": "("}})


# --- python_compiles


@pytest.mark.parametrize(
    "text",
    [
        "```python\ndef f(:\n```",
        "```py\nx = (1,\n```",
        "Text\n```Python\nprint 'x'\n```\n",
        "```python\nok = 1\n```\n```python\nif x\n    y\n```",
        "def f(x):\n    return x\n\ndef g(:\n    pass",
        "```python\nx = '\x00'\n```",
    ],
)
async def test_python_that_does_not_compile_is_no_answer(text: str) -> None:
    assert not (await passes("python_compiles", text)).passed


@pytest.mark.parametrize(
    "text",
    [
        "No code at all.",
        "```python\ndef f():\n    return 1\n```",
        "```javascript\nlet x = ;\n```",
        "```\nnot python (\n```",
        "```python\n>>> f(1)\n2\n```",
        "```python\nawait thing()\n```",
        "```python\n    return x\n```",
        "```python\ndef f():\n    ...\n```",
        "```python\nclass A:\n    ...  # the rest\n    def f(self): pass\n```",
        "```python\nfoo(\n    a,\n    ...\n    b,\n)\n```",
        "def add(a, b):\n    return a + b\n",
        "For example, x = 1 is an assignment.\nAnd so is y = 2.",
        "Import it. Then print it.\nfrom the shelf take one:\nreturn it.",
        "```python\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-x\n+y\n```",
        '```python title="a.py"\nx = 1\n```',
        "- point\n\n  ```python\n  x = 1\n  ```",
        "1. Step\n   ```python\n   def f():\n       return 1\n   ```",
        '```python\n"\\d"\n```',
    ],
)
async def test_python_that_compiles_or_none_is_fine(text: str) -> None:
    check = await passes("python_compiles", text)
    assert check.passed, check.reason


# --- validate itself


async def test_cheap_first_and_up_to_the_first_no() -> None:
    names = ["python_compiles", "length", "not_empty", "not_error"]
    done = await validate(Answer("fine"), Task("x"), names)
    assert [c.name for c in done] == ["not_empty", "not_error", "length", "python_compiles"]
    done = await validate(Answer("429 Too Many Requests"), Task("x"), names)
    assert [(c.name, c.passed) for c in done] == [("not_empty", True), ("not_error", False)]


async def test_a_check_that_breaks_says_no() -> None:
    class Broken:
        name = "broken"

        def __init__(self, error: Exception) -> None:
            self.error = error

        def check(self, answer: Answer, task: Task) -> Check:
            raise self.error

    for error, reason in ((KeyError("private text"), "KeyError"), (ToolFailed("no sandbox"), "no sandbox")):
        (check,) = await validate(Answer("x"), Task("x"), ["broken"], {"broken": Broken(error)})
        assert not check.passed
        assert reason in check.reason
        assert "private text" not in check.reason


async def test_an_unknown_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="not_empy"):
        await validate(Answer("x"), Task("x"), ["not_empy"])


def test_every_name_is_there() -> None:
    assert list(validators()) == [
        "not_empty", "not_error", "not_refusal", "not_truncated", "length", "language", "format", "schema",
        "tool_calls", "python_compiles", "tests_pass",
    ]  # fmt: skip
    assert all(v.name == n for n, v in validators().items())


QUICK = [n for n in validators() if n not in ("tests_pass",)]
FRAGMENTS = st.sampled_from(
    ["```python\n", "```\n", "{", "}", "[", '"', "Error: ", "429 ", "I'm sorry, but I can't ", "in one word ", "as JSON ",
     "100 words ", "<html>", "- ", "| a | b |\n", "def f(:\n", "Answer in German ", "die ", "the ", "日本", "\x00", "\ud800", "<think>"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(FRAGMENTS | st.text(max_size=20)), st.lists(FRAGMENTS | st.text(max_size=20)), st.integers(1, 10))
def test_nothing_makes_a_check_break(task: list[str], answer: list[str], cap: int) -> None:
    async def all_of_them() -> None:
        for name in QUICK:
            for schema in (None, PERSON):
                given_task = Task("".join(task), max_tokens=cap, schema=schema)
                (check,) = await validate(Answer("".join(answer)), given_task, [name])
                assert "broke" not in check.reason
                assert check.passed or check.reason

    asyncio.run(all_of_them())


@pytest.mark.parametrize(
    "unit",
    [
        "a ",
        "(",
        "[",
        "{",
        "```\n",
        "error ",
        "sorry ",
        "\n",
        "- a\n",
        "| ",
        "<",
        "1. ",
        "in ",
        "one word ",
        "for x in y:\n",
    ],
)
async def test_long_texts_cost_little(unit: str) -> None:
    import time

    text = unit * (400_000 // len(unit))
    for name in QUICK:
        began = time.process_time()
        await validate(Answer(text), Task(text), [name])
        assert time.process_time() - began < 4, name
