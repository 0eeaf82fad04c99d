"""The command line: a thin shell over the floors below.

Each command imports what it needs when it runs, because `hosts-mcp mcp` is started with every assistant session and
has to be there at once.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hosts_mcp import __version__
from hosts_mcp.errors import BadArgument, BadCursor, BadRange, HostsMcpError
from hosts_mcp.serve.questions import QUESTIONS, Argument, Question
from hosts_mcp.settings import KNOBS, Knob, load

if TYPE_CHECKING:
    from hosts_mcp.answers.base import Answer

F = TypeVar("F", bound=Callable[..., Any])
Given = dict[str, Any]

NOT_FOUND_OR_REFUSED, USAGE, INTERNAL, INTERRUPTED = 1, 2, 70, 130
IDLE = "30m"


def main() -> None:
    """Entry point: errors become one line on stderr and an exit status, never a traceback."""
    # A plug-in of another package would look into our models; loading it can cost most of a second.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        status = cli.main(standalone_mode=False) or 0
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except HostsMcpError as error:
        click.echo(f"{error.code}: {error.message}", err=True)
        status = USAGE if isinstance(error, Misused | BadRange | BadCursor) else NOT_FOUND_OR_REFUSED
    except (click.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    except BrokenPipeError:  # `hosts-mcp hosts | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 0
    except Exception as error:
        if os.environ.get("HOSTS_MCP_DEBUG"):
            raise
        click.echo(f"internal: {error!r}. This is a defect; HOSTS_MCP_DEBUG=1 shows where it happened.", err=True)
        status = INTERNAL
    sys.exit(status)


class Misused(BadArgument):
    """An argument that a command does not take, or not with that value."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="hosts-mcp")
def cli() -> None:
    """Was it the box? Joins OpenTelemetry traces and host metrics, and says whether the machine was the cause.

    \b
    hosts-mcp demo                     see it work, with eight made-up nights of one box
    hosts-mcp serve                    receive OTLP and answer over MCP and REST
    hosts-mcp config collector         what to paste into an OpenTelemetry Collector
    hosts-mcp config claude-code       what to paste into an assistant
    hosts-mcp was-it-the-box TRACE_ID  ask
    """


def knobs(*names: str) -> Callable[[F], F]:
    """Options for these settings (all of them without names), in the order of the table."""

    def decorate(command: F) -> F:
        for knob in reversed(KNOBS):
            if knob.flag and (not names or knob.name in names):
                command = click.option(knob.flag, knob.name, default=None, help=_knob_help(knob))(command)
        return command

    return decorate


def _knob_help(knob: Knob) -> str:
    default = f"default {knob.default}, " if knob.default else ""
    return f"{knob.help}  [{default}{knob.env}]"


def _flags(given: Mapping[str, Any]) -> list[str]:
    """The flags that were given, as words of a command line; paths absolute, since another process will read them."""
    words: list[str] = []
    for knob in KNOBS:
        value = given.get(knob.name)
        if knob.flag and value is not None:
            is_path = knob.name in ("db", "token_file")
            words += [knob.flag, str(Path(value).expanduser().resolve()) if is_path else str(value)]
    return words


YOUNG_OBJECTS = 10_000
"""So many new containers are looked through for cycles at a time, not Python's 700: a request makes thousands that wait
for their commit, and none of them is garbage before."""


@contextmanager
def _quick_imports() -> Iterator[None]:
    """Importing makes many objects and no garbage: collecting between them costs a third of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS)
        gc.enable()


# ---- running ---------------------------------------------------------------------------------------------------


@cli.command()
@knobs()
@click.option("--exit-when-idle", metavar="TIME", help="End after so long without OTLP and without a client: 30m, 2h.")
def serve(exit_when_idle: str | None, **given: Any) -> None:
    """Receive OTLP, keep it in one SQLite file, and answer over MCP (HTTP, SSE) and REST, until stopped."""
    from hosts_mcp.timerange import parse_duration

    settings = load(given)
    idle_ns = parse_duration(exit_when_idle) if exit_when_idle else None
    with _quick_imports():
        from hosts_mcp.serve import run
    run.serve(settings, idle_ns)


@cli.command()
@knobs()
@click.option("--in-process", is_flag=True, help="Serve in this process and leave none behind (containers).")
@click.option("--exit-when-idle", metavar="TIME", default=IDLE, show_default=True, help="For a server started here.")
def mcp(in_process: bool, exit_when_idle: str, **given: Any) -> None:
    """MCP over stdin and stdout, for assistants: finds the server of the database or starts one."""
    settings = load(given)
    if in_process:
        with _quick_imports():
            from hosts_mcp.serve import run
        return run.in_process(settings)
    from hosts_mcp.serve import bridge, starting
    from hosts_mcp.serve.token import Token

    handed_over = given | {"db": settings.db, "token_file": settings.token_file}
    flags = ["--exit-when-idle", exit_when_idle, *_flags(handed_over)]
    return bridge.run(lambda: starting.find_or_start(settings.db, flags), Token(settings))


@cli.command()
@knobs("db")
def stop(**given: Any) -> None:
    """Stop the server of the database."""
    from hosts_mcp.serve import starting

    db = load(given).db
    stopped = starting.stop(db)
    click.echo(f"Stopped the server of {db}." if stopped else f"No server of {db} is running.")


@cli.command()
@knobs("db", "listen", "otlp_grpc", "otlp_http")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed, other noise; the story stays.")
@click.option("--nights", type=click.IntRange(2, 60), default=8, show_default=True)
@click.option("--host", default="", help="Name of the box.")
@click.option("--culprit", default="", help="Name of the process that takes the memory.")
@click.option("--own-leak", is_flag=True, help="The mirror image: the agent itself leaks.")
@click.option("--no-process", is_flag=True, help="Without the data of the process scraper.")
@click.option("--once", is_flag=True, help="Print the trace id and the verdict as JSON and exit.")
def demo(**given: Any) -> None:
    """Eight nights of one box that end last night: load them, ask the question, and stay up for yours."""
    from hosts_mcp import demo as story

    story.run(**given)


@cli.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@knobs("db", "token_file")
def import_file(file: Path, **given: Any) -> None:
    """Bring in JSON lines written by a collector's file exporter (plain or gzip). Nothing counts twice."""
    import asyncio

    from hosts_mcp.serve import importing

    settings = load(given)
    with click.progressbar(length=file.stat().st_size, label=file.name, file=sys.stderr) as bar:
        result = asyncio.run(importing.import_file(file, settings, bar.update))
    for fault in result.faults:
        click.echo(f"{file.name}, {fault}", err=True)
    click.echo(f"{result.lines} requests imported, {result.refused} refused; {result.rejected} items rejected.")
    if result.refused and not result.lines:
        sys.exit(NOT_FOUND_OR_REFUSED)


@cli.command("export-case")
@click.argument("trace_id")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("case.jsonl.gz"),
              show_default=True, help="File to write; compressed when its name ends in .gz.")  # fmt: skip
@click.option("--no-replay", is_flag=True, help="Do not check that the file gives the same verdict.")
@knobs("db")
def export_case(trace_id: str, output: Path, no_replay: bool, **given: Any) -> None:
    """Write what one verdict needs as anonymous OTLP that gives the same verdict when imported.

    Hosts, services, operations, programs, ids and addresses get neutral names, the same one everywhere; messages,
    command lines and other attributes are left out. Times and measurements stay as they are.
    """
    from hosts_mcp.serve import replaying

    written, differences = replaying.export_file(trace_id, load(given).db, output, check=not no_replay)
    click.echo(
        f"{output}: {written.traces} traces, {written.spans} spans, {written.points} points. "
        f"Verdict {written.expected['verdict']} on trace {written.trace_id}."
    )
    for note in written.notes:
        click.echo(f"Note: {note}", err=True)
    for difference in differences:
        click.echo(f"Replayed, it differs: {difference}", err=True)
    if differences:
        sys.exit(NOT_FOUND_OR_REFUSED)


@cli.command()
@click.argument("host")
@knobs("db", "token_file")
def forget(host: str, **given: Any) -> None:
    """Remove a host and everything that is kept of it. If it reports again, it is new."""
    from hosts_mcp.serve import importing

    key = importing.forget(host, load(given))
    click.echo(f"Forgot {key}.")


@cli.command()
@knobs()
def doctor(**given: Any) -> None:
    """Check file, server, ports, what arrives, identity and scrapers; exit status 1 when something is wrong."""
    from hosts_mcp.serve import doctor as examination

    marks = {True: "ok  ", False: "FAIL", None: "note"}
    findings = list(examination.examine(load(given)))
    for finding in findings:
        click.echo(f"{marks[finding.good]}  {finding.sentence}")
    if any(finding.good is False for finding in findings):
        sys.exit(NOT_FOUND_OR_REFUSED)


@cli.command()
@click.argument("what", metavar="WHAT")
@click.option(
    "--add", is_flag=True, help="collector: only what an existing collector needs, as a second --config file."
)
@click.option("--older", is_flag=True, help="collector: for one from before 2025.")
@knobs()
def config(what: str, add: bool, older: bool, **given: Any) -> None:
    """Print a configuration to paste.

    \b
    WHAT is collector, docker or kubernetes (for OpenTelemetry Collectors), or an MCP client:
    claude-code, claude-desktop, codex, gemini, cursor, vscode, zed, pydantic-ai.
    """
    from hosts_mcp.serve import printed

    try:
        where, content = printed.configuration(what, load(given), _flags(given), add=add, older=older)
    except BadArgument as error:
        raise Misused(error.message) from None
    click.echo(f"# {where}", err=True)
    click.echo(content)


# ---- asking ----------------------------------------------------------------------------------------------------


def _command(question: Question) -> click.Command:
    """The command of a question: required arguments and SQL by place, everything else by option."""

    def ask(as_json: bool, db: str | None, **given: Any) -> None:
        answer = _ask(question, db, {name: value for name, value in given.items() if value is not None})
        click.echo(json.dumps(answer.structured(), ensure_ascii=False, indent=2) if as_json else answer.to_text())

    parameters: list[click.Parameter] = [_parameter(argument) for argument in question.arguments]
    db = next(knob for knob in KNOBS if knob.name == "db")
    parameters += [
        click.Option(["--json", "as_json"], is_flag=True, help="The same answer that MCP and REST give, as JSON."),
        click.Option(["--db"], help=_knob_help(db)),
    ]
    return click.Command(question.command, params=parameters, callback=ask, help=question.about)


def _parameter(argument: Argument) -> click.Parameter:
    if argument.required or argument.by_place:
        return click.Argument([argument.name], required=argument.required)
    flag = "--" + argument.name.replace("_", "-")
    return click.Option([flag, argument.name], metavar=argument.kind.upper(), help=argument.help)


def _ask(question: Question, db: str | None, given: Given) -> Answer:
    try:
        arguments, _ = question.accept(given)
    except BadArgument as error:
        raise Misused(error.message) from None
    with _quick_imports():
        from hosts_mcp.answers.base import UNLIMITED
        from hosts_mcp.store.sqlite import open_reader
    store = open_reader(load({"db": db}).db)
    try:
        return question.ask(store, arguments, now_ns=time.time_ns(), budget=UNLIMITED)
    finally:
        store.close()


for _question in QUESTIONS:
    cli.add_command(_command(_question))


if __name__ == "__main__":
    main()
