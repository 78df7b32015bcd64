"""The commands with their options. Declarations only: what a command does is imported when it runs.

Every command returns its work undone: the parser has its own ideas of how interrupts and closed pipes end a program.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import typer

# Neither rich's help nor its tracebacks: importing rich would take longer than printing the help.
app = typer.Typer(
    name="understudy",
    help="A frontier model directs under a hard token budget; cheap and free models do the work.",
    epilog="Without a command: the REPL. Exit codes: 0 answered, 1 a bug or doctor's no, 2 usage or configuration, "
    "3 nobody could answer, 4 budget refused, 5 validation failed everywhere, 130 interrupted.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
policies = typer.Typer(help="The versioned routing tables.", rich_markup_mode=None, no_args_is_help=False)
app.add_typer(policies, name="policy")
callers = typer.Typer(help="The keys of those who ask over the wire.", rich_markup_mode=None, no_args_is_help=False)
app.add_typer(callers, name="key")
nanobots = typer.Typer(help="understudy as nanobot's model.", rich_markup_mode=None, no_args_is_help=False)
app.add_typer(nanobots, name="nanobot")
campaigns = typer.Typer(
    help="Many tasks: planned before anything is called.", rich_markup_mode=None, no_args_is_help=False
)
app.add_typer(campaigns, name="campaign")

Work = Callable[[], int]  # returns the exit code
Config = Annotated[str | None, typer.Option("--config", metavar="PATH", help="The configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Session = Annotated[str | None, typer.Option("--session", metavar="ID", help="The conversation.")]


def _later(work: Callable[[], Coroutine[Any, Any, int]]) -> Work:
    def run() -> int:
        from understudy.cli.running import run_async

        return run_async(work())

    return run


def _config(context: typer.Context, own: str | None) -> str | None:
    """--config before or after the command's name."""
    return own or context.find_root().params.get("config")


def _session(context: typer.Context, own: str | None) -> str | None:
    """--session before or after the command's name. An empty one is kept, to be refused."""
    return own if own is not None else context.find_root().params.get("session")


@app.callback(invoke_without_command=True)
def understudy(
    context: typer.Context,
    config: Config = None,
    session: Session = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> Work:
    """A frontier model directs under a hard token budget; cheap and free models do the work."""
    if version:
        import understudy as package
        from understudy.cli.terminal import say

        say(f"understudy {package.__version__}")
        raise typer.Exit(0)
    if context.invoked_subcommand is not None:
        return lambda: 0
    from understudy.cli.repl import start

    return lambda: start(config, session)


@app.command()
def ask(  # noqa: PLR0917  typer makes the options of these parameters
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT|-", help="The task; - reads it from stdin.")
    ] = None,
    as_json: AsJson = False,
    stream: Annotated[bool, typer.Option("--stream", help="Tell stages and progress while it runs.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Nothing of it may leave this machine.")] = False,
    intent: Annotated[str | None, typer.Option(metavar="NAME", help="What kind of task it is.")] = None,
    policy: Annotated[str | None, typer.Option(metavar="NAME", help="Which policy decides.")] = None,
    schema: Annotated[
        str | None, typer.Option(metavar="FILE", help="A JSON schema; the answer will be one object of it.")
    ] = None,
    file: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="A text file of the task; again for more.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(metavar="N", min=1, help="The longest answer, in tokens.")] = None,
    deadline: Annotated[float | None, typer.Option(metavar="SECONDS", help="When to give up.")] = None,
    session: Session = None,
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="Which specialist works.")] = None,
    quality: Annotated[
        str | None,
        typer.Option(metavar="{fast,balanced,best}", help="The fastest, the policy's own order, or the best first."),
    ] = None,
    config: Config = None,
) -> Work:
    """Do one task.

    A text that begins with a dash goes after --.
    """
    from understudy.cli.ask import Wishes, ask_for

    wishes = Wishes(
        words=tuple(words or ()),
        files=tuple(file or ()),
        schema=schema,
        private=private,
        intent=intent,
        policy=policy,
        agent=agent,
        quality=quality,
        max_tokens=max_tokens,
        deadline=deadline,
        session=_session(context, session),
    )
    return _later(lambda: ask_for(_config(context, config), wishes, as_json=as_json, stream=stream))


@app.command()
def classify(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT|-]", help="The text; - reads it from stdin.")
    ] = None,
    jsonl: Annotated[
        str | None, typer.Option("--jsonl", metavar="FILE|-", help="A text for each line: {id, text}.")
    ] = None,
    operating_point: Annotated[
        str, typer.Option("--operating-point", metavar="{balanced,strict}", help="How much the gate takes for private.")
    ] = "balanced",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each text.")] = False,
) -> Work:
    """Say what kind of task a text is, and whether it is private.

    All of it on this machine: no network, no key, no configuration. A line that cannot be read gets an error in its
    place, and the exit code is 2 at the end. A text that begins with a dash goes after --.
    """
    from understudy.cli.classify import classify as work

    return lambda: work(tuple(words or ()), jsonl, operating_point, as_json=as_json)


@app.command()
def doctor(context: typer.Context, as_json: AsJson = False, config: Config = None) -> Work:
    """Say what is missing and how to mend it.

    What is configured, reachable, logged in and loaded: one line and one remedy each.
    """
    from understudy.cli.doctor import doctor as work

    return _later(lambda: work(_config(context, config), as_json=as_json))


@app.command()
def models(context: typer.Context, as_json: AsJson = False, config: Config = None) -> Work:
    """List the models that can be called."""
    from understudy.cli.listing import models as work

    return _later(lambda: work(_config(context, config), as_json=as_json))


@app.command()
def fleet(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Again every two seconds, until Ctrl-C.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> Work:
    """Show who can work now.

    Every window used and left, of all processes together; who rests and why; how many tasks wait in line, and for how
    long; how long answers take. A limit with a question mark is the catalogue's, which no server has confirmed yet.
    """
    from understudy.cli.fleet import fleet as work

    return _later(lambda: work(_config(context, config), watch=watch, as_json=as_json))


@app.command()
def agents(as_json: AsJson = False) -> Work:
    """List the specialists."""
    from understudy.cli.listing import agents as work

    return lambda: work(as_json=as_json)


Policy = Annotated[
    str, typer.Argument(metavar="NAME", help="A released policy, an entry point's name, or a path: NAME.py, NAME.toml.")
]


@policies.command("list")
def policy_list(as_json: AsJson = False) -> Work:
    """List the released policies with the hashes of their sources, and those that packages offer."""
    from understudy.cli.policies import policy_list as work

    return lambda: work(as_json=as_json)


@policies.command("show")
def policy_show(name: Policy, as_json: AsJson = False) -> Work:
    """Print a policy as a table.

    Its own rows where it has some, else what it decides for each type of task with a model of every kind.
    """
    from understudy.cli.policies import policy_show as work

    return lambda: work(name, as_json=as_json)


@policies.command("diff")
def policy_diff(
    one: Annotated[str, typer.Argument(metavar="A", help="A policy.")],
    other: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    whole: Annotated[bool, typer.Option("--all", help="Over the whole fact space: a hundred times as many.")] = False,
    as_json: AsJson = False,
) -> Work:
    """Say for which facts two policies decide differently, and how.

    The facts are laid out, not recorded: every type of task, label, wish and flag, with a model of every kind.
    """
    from understudy.cli.policies import policy_diff as work

    return lambda: work(one, other, whole=whole, as_json=as_json)


@policies.command("test")
def policy_test(
    name: Policy,
    quick: Annotated[bool, typer.Option("--quick", help="Some facts of every kind, in place of all.")] = False,
    as_json: AsJson = False,
) -> Work:
    """Try a policy over the whole fact space, and on its cases.

    For all facts: an answer, private work on this machine only, nobody twice, caps that can be kept, the same again.
    Its cases stand beside it in NAME.cases.toml. Exit code 5 when something does not hold.
    """
    from understudy.cli.policies import policy_test as work

    return lambda: work(name, quick=quick, as_json=as_json)


@policies.command("replay")
def policy_replay(  # noqa: PLR0917  typer makes the options of these parameters
    context: typer.Context,
    name: Policy,
    since: Annotated[
        str, typer.Option("--since", metavar="WHEN", help="90m, 24h, 7d ago; or a day or time: 2026-11-20[T15:00].")
    ] = "7d",
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="FACT=VALUE,...", help="Such as intent=coding,quality=best; also policy=v1."),
    ] = None,
    rehearsal: Annotated[bool, typer.Option("--rehearsal", help="What the rehearsal fleet was asked.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> Work:
    """Decide recorded tasks by another policy.

    What would have changed, and what that would have come to by what the same models did for the same types of task;
    what is not known is said to be unknown. Nothing is called.
    """
    from understudy.cli.policies import policy_replay as work

    return _later(
        lambda: work(_config(context, config), name, since=since, where=where, rehearsal=rehearsal, as_json=as_json)
    )


@callers.command("add")
def key_add(  # noqa: PLR0917  typer makes the options of these parameters
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="NAME",
            help="What it opens: chat, embeddings, jobs, fleet, metrics, admin; again for more. "
            "Without one: chat and embeddings.",
        ),
    ] = None,
    tokens_per_day: Annotated[
        int | None, typer.Option("--tokens-per-day", metavar="N", min=0, help="Else it has no limit.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option("--requests-per-minute", metavar="N", min=1, help="Else it has no limit.")
    ] = None,
    policy: Annotated[str | None, typer.Option("--policy", metavar="NAME", help="The only one it may use.")] = None,
    private: Annotated[bool, typer.Option("--private", help="All it asks stays on this machine.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> Work:
    """Make a key, and print it this once.

    Standard output has the key and nothing else. A name has one key at a time.
    """
    from understudy.cli.callers import add as work
    from understudy.types import Caller

    wanted = Caller(
        name,
        scopes=frozenset(scope or ()),
        policy=policy,
        private=private,
        tokens_per_day=tokens_per_day,
        requests_per_minute=requests_per_minute,
    )
    return _later(lambda: work(_config(context, config), wanted, as_json=as_json))


@callers.command("list")
def key_list(context: typer.Context, as_json: AsJson = False, config: Config = None) -> Work:
    """List the keys, with what they have used today; those that were revoked, too."""
    from understudy.cli.callers import show as work

    return _later(lambda: work(_config(context, config), as_json=as_json))


@callers.command("revoke")
def key_revoke(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    as_json: AsJson = False,
    config: Config = None,
) -> Work:
    """Make a key stop working.

    A server that runs takes it for a few seconds more. The name may be given to another key then.
    """
    from understudy.cli.callers import revoke as work

    return _later(lambda: work(_config(context, config), name, as_json=as_json))


@nanobots.command("init")
def nanobot_init(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Option("--config", metavar="PATH", help="nanobot's config.json; else ~/.nanobot/config.json."),
    ] = None,
    api_base: Annotated[
        str, typer.Option("--api-base", metavar="URL", help="Where understudy serve listens.")
    ] = "http://127.0.0.1:8791/v1",
    mcp: Annotated[bool, typer.Option("--mcp", help="Offer delegate as an MCP server, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    as_json: AsJson = False,
) -> Work:
    """Put understudy into nanobot's configuration.

    A provider and a preset for each role, the key by reference. Shows what changes, asks, and keeps the old file
    beside the new one. Everything else in it stays as it is.
    """
    from understudy.cli.nanobot import init as work

    own = context.find_root().params.get("config")
    return lambda: work(config, api_base=api_base, mcp=mcp, yes=yes, as_json=as_json, config=own)


@campaigns.command("plan")
def campaign_plan(  # noqa: PLR0917  typer makes the options of these parameters
    context: typer.Context,
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="A TOML file; see docs/campaigns.md.")],
    accounts: Annotated[
        list[str] | None,
        typer.Option("--accounts", metavar="NAME=N", help="As if there were N accounts; again for more."),
    ] = None,
    deadline: Annotated[
        str | None, typer.Option("--deadline", metavar="TIME", help="In place of the SPEC's: 8h, 14days.")
    ] = None,
    usd: Annotated[float | None, typer.Option("--usd", metavar="N", min=0, help="The money, likewise.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every model, not the best of each provider and plan.")] = False,
    electricity: Annotated[
        float | None, typer.Option("--electricity", metavar="USD", min=0, help="Of a kWh; else 0.15.")
    ] = None,
    gpu_price: Annotated[
        float | None, typer.Option("--gpu-price", metavar="USD", min=0, help="Of a GPU you would buy.")
    ] = None,
    gpu_watts: Annotated[float | None, typer.Option("--gpu-watts", metavar="N", min=1, help="It takes.")] = None,
    gpu_rent: Annotated[
        float | None, typer.Option("--gpu-rent", metavar="USD", min=0, help="Of an hour of a GPU you would rent.")
    ] = None,
    gpu_speed: Annotated[
        float | None, typer.Option("--gpu-speed", metavar="N", min=0.01, help="Tokens it writes in a second.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", metavar="MODEL", help="Whose price the GPU is compared with.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> Work:
    """Say what a campaign takes, before anything is called.

    How many calls and tokens; who could answer them, in how many days under which limit and for how many dollars; the
    best mix; what to shrink when deadline or money do not suffice; and when a GPU of one's own pays. No key and no
    network is needed.
    """
    from understudy.cli.campaign import Wishes
    from understudy.cli.campaign import plan as work

    gpu = {
        "electricity_usd": electricity,
        "price_usd": gpu_price,
        "watts": gpu_watts,
        "rent_usd": gpu_rent,
        "tokens_per_second": gpu_speed,
        "against": against,
    }
    wishes = Wishes(accounts=tuple(accounts or ()), deadline=deadline, usd=usd, gpu=gpu)
    return lambda: work(_config(context, config), spec, wishes, every=every, as_json=as_json)


@app.command()
def budget(context: typer.Context, session: Session = None, as_json: AsJson = False, config: Config = None) -> Work:
    """Show what is spent, reserved and left.

    The director's tokens in a conversation and today, the classifier's today, and money today.
    """
    from understudy.cli.looking import budget as work

    return _later(lambda: work(_config(context, config), _session(context, session), as_json=as_json))


@app.command()
def explain(
    context: typer.Context,
    reply_id: Annotated[str | None, typer.Argument(metavar="[REPLY_ID]", help="Its beginning will do.")] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> Work:
    """Say who answered, why, and what it cost.

    Without an id: the last replies.
    """
    from understudy.cli.looking import explain as work

    return _later(lambda: work(_config(context, config), reply_id, as_json=as_json))


@app.command()
def mcp(  # noqa: PLR0917  typer makes the options of these parameters
    context: typer.Context,
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP, not on the standard streams.")] = False,
    host: Annotated[str | None, typer.Option("--host", metavar="HOST", help="Of --http; else 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", help="Of --http; else 8792; 0: a free one.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Of --http on this machine only: ask for no key.")] = False,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="Of --http: another name it is called by; again for more."),
    ] = None,
    deadline: Annotated[
        float, typer.Option("--deadline", metavar="SECONDS", help="The most a call takes: less than its client waits.")
    ] = 25.0,
    at_once: Annotated[
        int, typer.Option("--at-once", metavar="N", min=1, max=100, help="Tasks of delegate_many that run at once.")
    ] = 8,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--files",
            metavar="FOLDER",
            help="Files below it may be named in tasks; again for more. Without one: all files, over HTTP none.",
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="All that is handed in stays on this machine.")] = False,
    config: Config = None,
) -> Work:
    """Serve Claude Code and other MCP clients.

    They hand their work down with the tools delegate and delegate_many; fleet, budget and explain say who can work,
    what is left and why. Over HTTP each caller needs a key: understudy key add NAME.
    """
    from understudy.cli.mcp import Serving
    from understudy.cli.mcp import mcp as work

    serving = Serving(
        http=http,
        host=host,
        port=port,
        open=open_,
        names=tuple(name or ()),
        deadline=deadline,
        at_once=at_once,
        files=tuple(files or ()),
        private=private,
    )
    return _later(lambda: work(_config(context, config), serving))


@app.command()
def init(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Replace the file that is there.")] = False,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print it, write nothing.")] = False,
    config: Config = None,
) -> Work:
    """Write a commented configuration."""
    from understudy.cli.initial import init as work

    return lambda: work(_config(context, config), force=force, stdout=stdout)


@app.command()
def serve(  # noqa: PLR0917  typer calls it by name
    context: typer.Context,
    host: Annotated[str, typer.Option("--host", help="127.0.0.1: this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 8791,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes behind the one address.")] = 1,
    print_key: Annotated[bool, typer.Option("--print-key", help="Make a key and print it.")] = False,
    without_key: Annotated[bool, typer.Option("--no-key", help="Ask no key of who comes from this machine.")] = False,
    as_json: AsJson = False,
    config: Config = None,
    inherited: Annotated[int | None, typer.Option("--fd", hidden=True)] = None,
    parent: Annotated[int | None, typer.Option("--parent", hidden=True)] = None,
    place: Annotated[str | None, typer.Option("--place", hidden=True)] = None,
) -> Work:
    """Serve OpenAI's and Anthropic's interfaces over HTTP.

    SIGHUP reads the configuration again; SIGTERM ends it when what is under way has its answer.
    """
    from understudy.cli.serve import serve as work

    return lambda: work(
        _config(context, config),
        host,
        port,
        workers,
        print_key=print_key,
        without_key=without_key,
        as_json=as_json,
        inherited=inherited,
        parent=parent,
        place=place,
    )


@app.command()
def rehearse(
    words: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]", help="One task; none: a short tour.")] = None,
    scenario: Annotated[
        str | None, typer.Option("--scenario", metavar="NAME|FILE", help="A whole day, on a clock of its own.")
    ] = None,
    scenarios: Annotated[bool, typer.Option("--scenarios", help="List the days that come with it.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="Another day of the same kind.")] = None,
    requests: Annotated[int | None, typer.Option("--requests", help="Tasks of the day, in place of its own.")] = None,
    as_json: AsJson = False,
) -> Work:
    """Do a task, or a whole day of tasks, on simulated models.

    The rehearsal fleet answers; without a task it gives a short tour.
    """
    if scenario is not None or scenarios or seed is not None or requests is not None:
        return lambda: _a_day(words, scenario, scenarios=scenarios, seed=seed, requests=requests, as_json=as_json)
    from understudy.cli.rehearse import rehearse as work

    return _later(lambda: work(" ".join(words or []), as_json=as_json))


def _a_day(
    words: list[str] | None,
    scenario: str | None,
    *,
    scenarios: bool,
    seed: int | None,
    requests: int | None,
    as_json: bool,
) -> int:
    from understudy.cli.day import list_scenarios, rehearse_scenario
    from understudy.errors import UsageError

    chosen = {"--scenario": scenario, "--seed": seed, "--requests": requests}
    given = [name for name, value in chosen.items() if value is not None]
    if scenarios:
        if given or words:
            what = f"--scenarios lists the days, and takes no {given[0] if given else 'task'}."
            raise UsageError(what, remedy=f"Leave {'it' if given else 'the task'} out, or --scenarios.")
        return list_scenarios(as_json=as_json)
    if scenario is None:
        what = f"{' and '.join(given)} {'belong' if len(given) > 1 else 'belongs'} to a whole day, and none is named."
        raise UsageError(what, remedy="Name one: --scenario normal; --scenarios lists them.")
    if words:
        what = "A day brings its own tasks: --scenario takes no text."
        raise UsageError(what, remedy="Leave the text out, or --scenario.")
    return rehearse_scenario(scenario, seed=seed, requests=requests, as_json=as_json)
