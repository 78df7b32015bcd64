"""The vocabulary of understudy and its protocols, on one screen.

Values are frozen dataclasses. Units are in the names or the docstrings: tokens and micro-dollars are integers,
durations are seconds, prices are micro-dollars per million tokens (so 1 token at $15 per million is 15).
Nothing here imports anything of the project, and nothing of a provider.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol


class Sensitivity(StrEnum):
    """Who may read a task. Only ever raised, never lowered."""

    PUBLIC = "public"
    PRIVATE = "private"

    def raised_to(self, other: Sensitivity) -> Sensitivity:
        return Sensitivity.PRIVATE if Sensitivity.PRIVATE in (self, other) else Sensitivity.PUBLIC


class Intent(StrEnum):
    """The task types of the routing table."""

    QUICK_QA = "quick_qa"
    REASONING = "reasoning"
    TOOL_CALLING = "tool_calling"
    CODING = "coding"
    LONG_CONTEXT = "long_context"
    CODE_REVIEW = "code_review"
    SUMMARIZATION = "summarization"
    MEMORY = "memory"
    WEB_RESEARCH = "web_research"
    PRIVATE = "private"


class Role(StrEnum):
    """On whose behalf a call is made; the director's budget counts DIRECTOR, and JUDGE when the director judges."""

    WORKER = "worker"
    CLASSIFIER = "classifier"
    DIRECTOR = "director"
    JUDGE = "judge"


class Quality(StrEnum):
    """The caller's wish: the fastest, the table's own order (specialisation), or the best candidate first."""

    FAST = "fast"
    BALANCED = "balanced"
    BEST = "best"


class Failure(StrEnum):
    """Why a call failed. Each class has one reaction (see fleet/reactions.py)."""

    AUTH = "auth"
    PAYMENT = "payment"
    MINUTE_QUOTA = "minute_quota"
    DAY_QUOTA = "day_quota"
    TOO_LARGE = "too_large"  # larger than the quota window: waiting never helps
    CONTEXT = "context"  # larger than the model's context
    UNSUITED = "unsuited"  # it asks for what this wire has no words for: another dialect may
    CONTENT_FILTER = "content_filter"
    OVERLOAD = "overload"
    TRANSPORT = "transport"  # reset, refused, silence, time out
    MALFORMED = "malformed"  # an answer that is not one: bad JSON, empty, truncated, an error in disguise
    UNAVAILABLE = "unavailable"  # the model is not there: not found, not loaded, not logged in, switched off
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier exchange of a session."""

    user: str = field(repr=False)
    assistant: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file given with a task: its path as the user wrote it (private_paths match against it) and its text."""

    path: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model wants done. arguments: as it wrote them, JSON or not."""

    id: str
    name: str
    arguments: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Began:
    """What is known of a reply when its first piece passes on. candidate: empty where several may yet give it."""

    reply_id: str
    candidate: str
    policy: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer that is still being written."""

    text: str = field(default="", repr=False)
    thought: str = field(default="", repr=False)  # reasoning, where a server shows it
    began: Began | None = None  # of the first that passes on


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation that is handed on as it is: messages, tools and ids stay what they are.

    body: the request in the words of its dialect, without what we decide (model, stream, the cap of the answer).
    live: told of each piece as it arrives, where the policy lets an answer pass on before it is whole.
    """

    dialect: Literal["openai", "anthropic", "embeddings"]
    body: Mapping[str, Any] = field(repr=False)
    tokens: int  # of the input, estimated
    most: int  # of the input, at the most
    needs: frozenset[str] = frozenset()  # capabilities: tools, vision, logprobs
    texts: tuple[str, ...] = field(default=(), repr=False)  # every string in it that a reader would see
    remote: bool = False  # it names images by their address: only who is elsewhere may fetch them
    plain: bool = True  # it is only text in turns: who takes no conversation as it is can be told it in words
    tie: str = ""  # names the conversation, so that it stays with who answered it last; empty: it has no name
    live: Callable[[Piece], None] | None = field(default=None, repr=False)


class Priority(StrEnum):
    """Whose turn it is in front of a scarce domain: somebody who waits at a terminal goes before a campaign."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks over the wire, and what the key allows. Never the key."""

    name: str
    id: str = ""  # the public part of the key
    scopes: frozenset[str] = frozenset()  # of store/callers.SCOPES
    policy: str | None = None  # the only one its tasks may use
    private: bool = False  # every task of it is
    tokens_per_day: int | None = None  # None: unlimited
    requests_per_minute: int | None = None  # likewise


@dataclass(frozen=True, slots=True)
class Task:
    """What the caller wants. Every field but the text is a wish; None leaves the choice to understudy."""

    text: str = field(repr=False)
    session: str | None = None
    sensitivity: Sensitivity | str = Sensitivity.PUBLIC
    intent: Intent | str | None = None
    policy: str | None = None
    agent: str | None = None
    quality: Quality | str | None = None
    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    files: tuple[Attachment, ...] = ()
    max_tokens: int | None = None  # of the answer
    deadline: float | None = None  # seconds for the whole task
    history: tuple[Turn, ...] = field(default=(), repr=False)
    plan: bool | None = None  # None: plan when the policy says so; False: this task is one step
    priority: Priority | str = Priority.INTERACTIVE
    patience: float | None = None  # seconds worth waiting for quota; None: the settings' own, for a batch the deadline
    caller: Caller | None = None  # whose budget pays for every call; None: nobody's, as at a terminal
    instructions: str = field(default="", repr=False)  # the caller's own, behind those of the agent
    remember: bool = True  # False: the session counts for budgets alone, and its turns are neither read nor kept
    candidate: str | None = None  # provider/model: nobody else is asked
    chat: Chat | None = field(default=None, repr=False)  # handed on as it is; text is then its last question
    among: tuple[str, ...] = ()  # provider/model: nobody but these is asked; empty: everybody
    checks: tuple[str, ...] = ()  # names of validators, beside those of the policy
    scopes: tuple[str, ...] = ()  # of the ledger, that pay for every call too; whoever names one has declared it


Counted = Literal["requests", "tokens", "input", "output"]  # tokens: input and output together


@dataclass(frozen=True, slots=True)
class Window:
    """A limit as a provider counts it: so much in any `seconds`, or in each day of a time zone."""

    name: str  # RPM, RPH, RPD, TPM, TPH, TPD, or the user's own
    counts: Counted
    limit: int
    seconds: float
    zone: str = ""  # a time zone whose midnight begins the window anew; empty: rolling


@dataclass(frozen=True, slots=True)
class Limits:
    """All windows of a quota domain, and how a request is counted in them. No windows: it never runs out.

    charged: "cap" takes input + max_tokens when asked and what was used afterwards (Groq, Cerebras); "used" takes
    what was used (reserved with the cap all the same); "input" counts no output (Gemini).
    """

    windows: tuple[Window, ...] = ()
    charged: Literal["cap", "used", "input"] = "used"
    shared: Literal["model", "account"] = "model"  # who shares them: one model of an account, or all of its models
    cached_free: bool = False  # cached input is not counted


@dataclass(frozen=True, slots=True)
class Reading:
    """What a server said of one of its windows; None: it did not say. reset: seconds until more (or all) is left."""

    counts: Counted
    limit: int | None = None
    left: int | None = None
    reset: float | None = None
    seconds: float | None = None  # the window's length, where the dialect tells minute from day


@dataclass(frozen=True, slots=True)
class Candidate:  # noqa: PLW1641  dataclass makes the hash
    """(provider, account, model): the thing that can be called. Ratings run from 0 to 100."""

    provider: str  # the user's name for it
    kind: str  # which adapter: groq, gemini, anthropic, openai, openai_compatible, claude_code, llama_cpp
    account: str
    model: str
    local: bool = False
    free: bool = True  # costs no money (free tier, subscription, own machine)
    simulated: bool = False
    context: int = 8192  # tokens, input and output together
    output_cap: int = 4096  # tokens
    tokens_per_minute: int | None = None  # a request above it can never pass
    capabilities: frozenset[str] = frozenset()  # of: tools, json, grounding, vision, logprobs, agentic
    quality: int = 50
    speed: int = 50
    input_price: int = 0  # list price, micro-dollars per million tokens
    output_price: int = 0
    limits: Limits = Limits()

    def __eq__(self, other: object) -> bool:
        """Field by field, and what differs first, first: a policy looks for one among many. (Python 3.13 does so.)"""
        if not isinstance(other, Candidate):
            return NotImplemented
        return self.model == other.model and all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"

    @property
    def domain(self) -> str:
        """The one name no other candidate has."""
        return f"{self.provider}/{self.account}/{self.model}"

    @property
    def quota(self) -> str:
        """The quota domain: what shares limits. Keys of one account add nothing to it."""
        return self.domain if self.limits.shared == "model" else f"{self.provider}/{self.account}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a candidate stands at the moment of deciding; one of which nothing is known has none. Seconds, shares."""

    domain: str
    wait: float = 0.0  # until it can run; 0: now
    left: float = 1.0  # share of its tightest window, 0 to 1
    breaker: str = "closed"  # closed, open, half-open
    latency: float = 0.0  # of a whole answer; 0: not known
    first_token: float = 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a policy may know. Same facts, same policy version: same decision, for ever."""

    intent: Intent
    probability: float
    sensitivity: Sensitivity
    input_tokens: int
    max_tokens: int | None = None
    quality: Quality = Quality.BALANCED
    agent: str | None = None
    deadline: float = 120.0
    has_schema: bool = False
    has_files: bool = False
    multi_step: bool = False
    handed: bool = False  # a conversation that is handed on as it is
    has_tools: bool = False  # the caller's own, in it
    sticky: str = ""  # the domain that gave it its last answer
    explicit_intent: bool = False
    director_left: int = 0  # tokens the director may still spend in this conversation
    rotation: int = 0  # how many tasks this session has had: round-robin among equals
    fleet: tuple[Candidate, ...] = ()
    resting: tuple[str, ...] = ()  # domains that cannot run now
    standings: tuple[Standing, ...] = ()
    director: str = ""  # the domain of the frontier model; empty: there is none in this fleet
    phase: int = 0  # of the orchestra's four, as the settings say; 0: they do not
    hour: int = 0  # whole hours since the epoch: what a rotation of models goes by
    draw: float = 0.0  # drawn evenly from 0 to 1 for this task: all the chance a policy may use


@dataclass(frozen=True, slots=True)
class Link:
    """One element of a chain: a quota domain and why it stands there."""

    domain: str
    why: str


@dataclass(frozen=True, slots=True)
class Confidence:
    """When an answer that passed its checks is good enough, and who says so.

    estimators are asked in this order (classifiers/confidence.ESTIMATORS), and the first that can tell decides. From
    `threshold` on the answer is accepted; below it the next link of the chain is asked. It is asked once for a task,
    and only where a model of a higher rating stands behind the one that answered.
    """

    estimators: tuple[str, ...]
    threshold: float = 0.8  # probability that it is right
    samples: int = 3  # of the estimator `samples`: how many answers in all, the first among them
    # (estimator, ((what it says, how often such an answer was right), ...)): measured on one's own tasks.
    curves: tuple[tuple[str, tuple[tuple[float, float], ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy decides: an ordered chain with its checks and caps."""

    agent: str
    chain: tuple[Link, ...]
    checks: tuple[str, ...]  # names of validators, cheap first
    output_cap: int  # tokens
    max_attempts: int
    deadline: float  # seconds
    judge: str = "none"  # none | cheap | director: the highest judge that may be asked
    plan: bool = False
    why: str = ""
    hedge: bool = False  # ask the next candidate too when one takes longer than nearly always
    live: bool = False  # the answer may pass on while it is written, after a look at its beginning
    advice: int = 0  # times the director may be asked how to mend an answer, within its budget
    propensity: float = 1.0  # with which the facts but for the draw put this candidate first
    confidence: Confidence | None = None  # None: an answer that passes its checks is good enough


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. Input counts cached tokens too. measured=False: the server did not say."""

    input_tokens: int = 0
    output_tokens: int = 0
    measured: bool = True
    cached_tokens: int = 0  # of the input

    @property
    def total(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.measured and other.measured,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one candidate, in words no SDK owns."""

    prompt: str = field(repr=False)
    instructions: str = field(default="", repr=False)
    history: tuple[Turn, ...] = field(default=(), repr=False)
    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    output_cap: int = 1024  # tokens
    timeout: float = 60.0  # seconds
    temperature: float | None = None
    tools: tuple[str, ...] = ()  # names of tools/: fetch, python, ... and "grounding" for a provider's own search
    role: Role = Role.WORKER
    sensitivity: Sensitivity = Sensitivity.PUBLIC
    chat: Chat | None = field(default=None, repr=False)  # for who can hand it on; the rest says the same in plain words


@dataclass(frozen=True, slots=True)
class Answer:
    """What a candidate gave back, not yet validated. finish: stop, length, tool_call, content_filter or error."""

    text: str = field(repr=False)
    usage: Usage = Usage()
    finish: str = "stop"
    model: str = ""  # as the server names it
    cost_usd: float | None = None  # when the provider itself states it
    logprob: float | None = None  # mean token log-probability, where the candidate has it
    sources: tuple[str, ...] = ()
    readings: tuple[Reading, ...] = ()  # of the last request's reply
    calls: tuple[ToolCall, ...] = ()  # what it wants done, of the tools of a chat
    message: Mapping[str, Any] | None = field(default=None, repr=False)  # to a chat: in its dialect, whole


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to one candidate, with its outcome: "ok", "rejected" (by a validator) or a Failure."""

    candidate: str
    provider: str
    account: str
    model: str
    role: Role
    outcome: str
    error: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0  # what was paid
    list_usd: float = 0.0  # what it costs at list price
    seconds: float = 0.0
    started: float = 0.0  # seconds since the epoch
    directs: bool = False  # charged to the director's budget
    simulated: bool = False
    free: bool = True


@dataclass(frozen=True, slots=True)
class Check:
    """What one validator said."""

    name: str
    passed: bool
    reason: str = ""
    advice: str = field(default="", repr=False)  # the director's, for whoever tries again; never recorded
    escalate: bool = False  # asking the same candidate again would not help: the next one is asked


@dataclass(frozen=True, slots=True)
class Amount:
    """What the ledger counts."""

    tokens: int = 0
    micro_usd: int = 0


@dataclass(frozen=True, slots=True)
class Balance:
    """The state of one scope. A limit of None is unlimited in that unit."""

    scope: str
    limit_tokens: int | None
    limit_micro_usd: int | None
    spent: Amount
    reserved: Amount


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation: settle it or release it, once."""

    id: str
    amount: Amount
    scopes: tuple[str, ...]
    output_cap: int | None = None  # tokens, where there was room for fewer than were asked for: what may be sent


def cap_of(hold: Hold | None, asked: int) -> int:
    """Output tokens a request may ask for, once its guard has spoken."""
    return asked if hold is None or hold.output_cap is None else min(asked, hold.output_cap)


@dataclass(frozen=True, slots=True)
class Guess:
    """A classifier's answer. by: caller, gate, length, local, groq, director."""

    intent: Intent
    probability: float
    by: str
    abstain: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """Where the gate saw something, never what it saw."""

    start: int
    end: int
    type: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's answer. reasons are types ("email", "label", "path"), never values."""

    sensitivity: Sensitivity
    reasons: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()


class Clock(Protocol):
    """Time, injected: tests and the rehearsal fleet bring their own."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Guard(Protocol):
    """Asked before and after every single request on the wire, tool loops included."""

    async def before(self, input_tokens: int, output_cap: int) -> Hold | None:
        """Reserve the worst case, or raise BudgetRefused or PrivacyRefused: nothing was sent then.

        A hold with an output_cap was had for so few output tokens: the request must ask for no more (types.cap_of).
        """
        ...

    async def after(self, hold: Hold | None, usage: Usage | None) -> None:
        """Settle. None: the outcome is unknown, the whole reservation is charged."""
        ...

    async def unsent(self, hold: Hold | None) -> None:
        """Release: it is certain that nothing was charged (refused before processing, or never sent)."""
        ...


class Worker(Protocol):
    """A candidate made callable. The one seam between understudy and every provider."""

    candidate: Candidate

    def load(self, call: Call) -> None:
        """Import and connect what such a call would wait for, so that no deadline pays for it. Cheap when done."""
        ...

    async def work(self, call: Call, guard: Guard, progress: Callable[[int], None] | None = None) -> Answer:
        """Answer, or raise errors.CallFailed. progress is told the number of characters received so far."""
        ...

    def bound(self, call: Call) -> int:
        """An upper bound of the input tokens this call is charged for (all requests its switches allow)."""
        ...

    async def check(self) -> str:
        """One line for the doctor, without spending a token; raises CallFailed with the remedy in it."""
        ...

    async def close(self) -> None: ...


class Ledger(Protocol):
    """Spent + reserved never exceeds a limit: at any concurrency, over processes, through kill -9."""

    async def allow(self, scope: str, *, tokens: int | None, micro_usd: int | None) -> None:
        """Declare a scope and its limits (None: unlimited in that unit)."""
        ...

    async def reserve(self, scopes: tuple[str, ...], amount: Amount, *, lease: float) -> Hold:
        """All scopes or none. Raises BudgetRefused; an unknown scope is refused."""
        ...

    async def settle(self, hold: Hold, actual: Amount) -> None: ...

    async def release(self, hold: Hold) -> None: ...

    async def balance(self, scope: str) -> Balance: ...

    async def balances_of(self, scopes: tuple[str, ...]) -> tuple[Balance, ...]:
        """Of several scopes at the same moment, in their order."""
        ...


class Policy(Protocol):
    """A versioned, pure function. name and hash identify it for ever."""

    name: str
    hash: str

    def decide(self, facts: Facts) -> Decision: ...


class Validator(Protocol):
    """Cheap and local. It sees the answer and the task, and says why not."""

    name: str

    def check(self, answer: Answer, task: Task) -> Check | Awaitable[Check]: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """The validated answer with its provenance."""

    id: str
    text: str = field(repr=False)
    data: Any = field(repr=False)  # the parsed object when the task had a schema
    session: str
    intent: Guess
    sensitivity: Verdict
    policy_name: str
    policy_hash: str
    agent: str
    attempts: tuple[Attempt, ...]
    skipped: tuple[tuple[str, str], ...]  # (domain, why): candidates passed over without a call
    checks: tuple[Check, ...]
    director: Balance
    seconds: float
    notes: tuple[str, ...] = ()  # what the reader should know: the director's budget is gone, models are simulated
    steps: tuple[Reply, ...] = ()  # of a planned task
    answer: Answer | None = field(default=None, repr=False)  # to a chat, as it came

    @property
    def total_tokens(self) -> int:
        return sum(a.input_tokens + a.output_tokens for a in self.attempts)

    @property
    def free_share(self) -> float:
        """The share of all tokens that ran on free inference: neither paid for nor the director's. 0 to 1."""
        total = self.total_tokens
        free = sum(a.input_tokens + a.output_tokens for a in self.attempts if a.free and not a.directs)
        return free / total if total else 1.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Event: the task has reached gate, classify, decide, plan, dispatch, validate or judge."""

    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """Event: a candidate is writing; nothing is shown before it is validated."""

    candidate: str
    chars: int


@dataclass(frozen=True, slots=True)
class Text:
    """Event: validated text, whole."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Finished:
    """Event: the last one."""

    reply: Reply


Event = Stage | Progress | Text | Finished
