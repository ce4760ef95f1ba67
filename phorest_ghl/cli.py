"""`phorest-ghl`: every command, its options and its help.

Belongs here: names and options. Does not: what a command does (`commands`).
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from phorest_ghl.commands.console import Exit, Out, heed_signals, quiet_logs, run
from phorest_ghl.settings import Settings, env_example, load_settings

app = typer.Typer(
    name="phorest-ghl",
    help="Keeps Phorest and GoHighLevel true to each other.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

auth_app = typer.Typer(invoke_without_command=True)
app.add_typer(auth_app, name="auth")
review_app = typer.Typer(invoke_without_command=True)
app.add_typer(review_app, name="review")
# Phorest's ids may begin with a hyphen (facts/phorest-api §2.4), and none of ours is an option.
_TAKES_IDS = {"ignore_unknown_options": True}

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else there.")]
NoImport = Annotated[bool, typer.Option("--no-import", help="Work on what was last imported; ask Phorest nothing.")]
WorkflowsPaused = Annotated[
    bool,
    typer.Option(
        "--workflows-paused",
        help="Confirm, once for a location, that its published workflows are paused or exclude phorest:backfill.",
    ),
]
_ENTITIES = ("clients", "appointments", "bookings", "check-ins", "loyalty", "products", "staff")
Entity = Annotated[str, typer.Argument(help=f"What to sync: {', '.join(_ENTITIES)}.")]


@app.callback()
def start() -> None:
    """Keeps Phorest and GoHighLevel true to each other."""
    quiet_logs()


@app.command()
def demo(
    clients: Annotated[int, typer.Option(min=20, max=200_000, help="Clients of the simulated salon.")] = 1500,
    seed: Annotated[int, typer.Option(help="The same seed makes the same salon.")] = 7,
    leave: Annotated[bool, typer.Option("--exit", help="End after the table instead of serving the UI.")] = False,
    port: Annotated[int, typer.Option(help="Port of Dagster's UI; another one is taken if it is in use.")] = 3000,
    day: Annotated[bool, typer.Option(help="After the first load, go live and let a day pass in the salon.")] = True,
    as_json: Json = False,
) -> None:
    """Sync a simulated salon to a simulated GHL on this machine, let a day pass in it, and show it in Dagster."""
    from phorest_ghl.commands.demo import demo as command  # noqa: PLC0415 - the sandbox is no part of other commands

    out = Out(as_json=as_json)
    _leave(lambda: command(out, clients=clients, seed=seed, serve=not leave, port=port, day=day))


@app.command()
def audit(
    look_only: Annotated[bool, typer.Option("--look-only", help="Find and keep; mend nothing.")] = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page with charts over time and all open findings to this file."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold GHL against Phorest record by record, mend what is ours to mend, and show what a person has to decide."""
    from phorest_ghl.commands.audit import audit as command  # noqa: PLC0415 - commands load only what they need

    _leave(lambda: command(_settings(), Out(as_json=as_json), mending=not look_only, html=html))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def sandbox(context: typer.Context) -> None:
    """Serve both APIs simulated; prints the settings that point the product at them. --help lists its options."""
    from phorest_ghl.sandbox.__main__ import main as serve  # noqa: PLC0415 - the sandbox is no part of other commands

    raise typer.Exit(serve(context.args))


@app.command()
def init(
    as_json: Json = False, env_file: Annotated[Path, typer.Option(help="The file to make.")] = Path(".env")
) -> None:
    """Make .env with fresh keys, or add the keys that are missing in it."""
    from phorest_ghl.commands.keys import init as command  # noqa: PLC0415 - commands load only what they need

    _leave(lambda: command(env_file, Out(as_json=as_json)))


@app.command()
def plan(
    entity: Entity = "clients",
    values: Annotated[bool, typer.Option(help="Show the values, which are personal, instead of masks.")] = False,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Write the plan down, masked: .json, which sync --plan takes, or .html to read."),
    ] = None,
    no_import: NoImport = False,
    as_json: Json = False,
) -> None:
    """Show what would be written to GHL, field by field, and write nothing."""
    from phorest_ghl.commands import appointments, check_ins, staff  # noqa: PLC0415 - commands load only what they need
    from phorest_ghl.commands.sync import plan as command  # noqa: PLC0415

    _known(entity)
    out, do_import = Out(as_json=as_json), not no_import
    if entity == check_ins.NAME:
        _leave(lambda: check_ins.plan(_settings(), out, file=file, do_import=do_import))
    if entity == staff.NAME:
        _leave(lambda: staff.plan(_settings(), out, values=values, file=file, do_import=do_import))
    if entity == appointments.NAME:
        _leave(lambda: appointments.plan(_settings(), out, values=values, file=file, do_import=do_import))
    _leave(lambda: command(_settings(), out, entity=entity, values=values, file=file, do_import=do_import))


@app.command()
def sync(
    entity: Annotated[
        str | None, typer.Argument(help=f"What to sync: {', '.join(_ENTITIES)}; without it, clients.")
    ] = None,
    workflows_paused: WorkflowsPaused = False,
    adopt_fields: Annotated[
        bool, typer.Option("--adopt-fields", help="Take over custom fields named Phorest … that were not made here.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Read everything from Phorest, not only what changed.")] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="Make at most so many changes; the rest waits for the next run."),
    ] = None,
    plan_file: Annotated[
        Path | None,
        typer.Option("--plan", help="Carry out exactly this plan, of plan --file; refuse where something has changed."),
    ] = None,
    no_import: NoImport = False,
    as_json: Json = False,
) -> None:
    """Import from Phorest, plan, and write to GHL."""
    from phorest_ghl.commands.syncing import Wanted, sync_entity  # noqa: PLC0415 - commands load only what they need

    if entity is not None:
        _known(entity)
    wanted = Wanted(
        entity=entity,
        workflows_paused=workflows_paused,
        adopt_fields=adopt_fields,
        full=full,
        limit=limit,
        plan_file=plan_file,
        do_import=not no_import,
    )
    _leave(lambda: sync_entity(_settings(), Out(as_json=as_json), wanted))


@app.command()
def backfill(
    first: Annotated[str, typer.Option("--from", help="First month of appointments that become events, as 2025-01.")],
    last: Annotated[
        str | None, typer.Option("--to", help="Last such month; without it, as far ahead as scheduled runs look.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Import, and show how much would be written; write nothing to GHL.")
    ] = False,
    workflows_paused: WorkflowsPaused = False,
    as_json: Json = False,
) -> None:
    """First load: import everything, then write contacts, the events of the named months, and notes. Killed, it goes on."""
    from phorest_ghl.commands.backfill import backfill as command  # noqa: PLC0415 - commands load only what they need

    out = Out(as_json=as_json)
    _leave(
        lambda: command(_settings(), out, first=first, last=last, dry_run=dry_run, workflows_paused=workflows_paused)
    )


@app.command()
def repair(
    client_ids: Annotated[list[str], typer.Argument(metavar="CLIENT_ID...", help="Ids of clients in Phorest.")],
    as_json: Json = False,
) -> None:
    """Read single clients from Phorest now, and bring each onto its contact; appointments follow with their next run."""
    from phorest_ghl.commands.repair import repair as command  # noqa: PLC0415 - commands load only what they need

    _leave(lambda: command(_settings(), Out(as_json=as_json), client_ids=client_ids))


@app.command(context_settings=_TAKES_IDS)
def allow(
    entity: Annotated[str | None, typer.Argument(help="The entity, as shown: client, appointment, …")] = None,
    guard: Annotated[str | None, typer.Argument(help="The guard, as shown.")] = None,
    figure: Annotated[int | None, typer.Argument(help="How many were shown: exactly these may pass, once.")] = None,
    as_json: Json = False,
) -> None:
    """Show what guards hold back, or let exactly that pass in the next run, once."""
    from phorest_ghl.commands import allow as command  # noqa: PLC0415 - commands load only what they need

    out = Out(as_json=as_json)
    if entity is not None and guard is not None and figure is not None:
        _leave(lambda: command.let_pass(_settings(), out, entity=entity, guard=guard, figure=figure))
    if entity is not None:
        sys.stderr.write("Name the entity, the guard and the figure, as `phorest-ghl allow` shows them.\n")
        raise typer.Exit(Exit.WRONG_USE)
    _leave(lambda: command.show(_settings(), out))


@app.command("go-live")
def go_live(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """End the quiet of the first load: take the tag phorest:backfill off our contacts, so that workflows may start."""
    from phorest_ghl.commands.going_live import go_live as command  # noqa: PLC0415 - commands load only what they need

    _leave(lambda: command(_settings(), Out(as_json=as_json), yes=yes))


@app.command(context_settings=_TAKES_IDS)
def forget(
    client_id: Annotated[str, typer.Argument(help="The client's id in Phorest.")],
    keep_contact: Annotated[
        bool,
        typer.Option("--keep-contact", help="Close the contact in GHL and empty our fields, but do not delete it."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase a person here and in GHL, for good: nothing imports, repairs or mirrors them again."""
    from phorest_ghl.commands.forget import forget as command  # noqa: PLC0415 - commands load only what they need

    _leave(lambda: command(_settings(), Out(as_json=as_json), client_id=client_id, keep_contact=keep_contact, yes=yes))


@app.command("staff-map")
def staff_map(
    file: Annotated[Path, typer.Option(help="The file that a person reviews.")] = Path("salon.toml"),
    as_json: Json = False,
) -> None:
    """Propose which user of GHL each member of the staff is, in salon.toml; nothing counts until you have reviewed it."""
    from phorest_ghl.commands.staff_map import staff_map as command  # noqa: PLC0415 - commands load only what they need

    _leave(lambda: command(_settings(), Out(as_json=as_json), file=file))


@app.command()
def status(
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page with charts over time and all open findings to this file."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not ask Dagster when runs come next, which takes seconds.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Healthy, degraded or failed, with the reasons: runs, lag, what waits, budget. Exit code 0, 1 or 2, for monitoring."""
    from phorest_ghl.commands.status import status as command  # noqa: PLC0415 - commands load only what they need

    raise typer.Exit(run(lambda: command(_settings(), Out(as_json=as_json), ask_dagster=not quick, html=html)))


@app.command()
def pause(
    entity: Annotated[str, typer.Argument(help=f"What to hold: {', '.join(_ENTITIES)}, or all.")] = "all",
    reason: Annotated[str | None, typer.Option("--reason", help="Why, for whoever reads the status; no names.")] = None,
    as_json: Json = False,
) -> None:
    """Hold an entity, or all: from now on no run writes it to GHL, whoever starts it; its schedules are turned off."""
    from phorest_ghl.commands.pausing import pause as command  # noqa: PLC0415 - commands load only what they need

    _leave(lambda: command(_settings(), Out(as_json=as_json), entity=entity, reason=reason))


@app.command()
def resume(
    entity: Annotated[str, typer.Argument(help=f"What runs again: {', '.join(_ENTITIES)}, or all.")] = "all",
    as_json: Json = False,
) -> None:
    """Lift a pause, or all there are, and turn on again the schedules that were turned off with it."""
    from phorest_ghl.commands.pausing import resume as command  # noqa: PLC0415 - commands load only what they need

    _leave(lambda: command(_settings(), Out(as_json=as_json), entity=entity))


@app.command(context_settings=_TAKES_IDS)
def retry(
    records: Annotated[
        list[str] | None, typer.Argument(metavar="ID...", help="Ids of records in Phorest; without any, all.")
    ] = None,
    entity: Annotated[str | None, typer.Option("--entity", help="Only records of this entity.")] = None,
    as_json: Json = False,
) -> None:
    """Let the next run try again what GHL refused, what was given up, and what got no answer."""
    from phorest_ghl.commands.operating import retry as command  # noqa: PLC0415 - commands load only what they need

    _leave(lambda: command(_settings(), Out(as_json=as_json), phorest_ids=records or (), entity=entity))


@app.command()
def logs(
    of_run: Annotated[str | None, typer.Option("--run", help="A run's id, as status shows it, or Dagster's.")] = None,
    entity: Annotated[str | None, typer.Option("--entity", help="Only this entity.")] = None,
    record: Annotated[str | None, typer.Option("--record", help="A record's id in Phorest.")] = None,
    of_status: Annotated[str | None, typer.Option("--status", help="success, skipped or failed.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Lines, the newest.")] = 50,
    as_json: Json = False,
) -> None:
    """Show what runs changed, skipped and failed at, a line a record: ids, fields and reasons, never a value."""
    from phorest_ghl.commands.operating import logs as command  # noqa: PLC0415 - commands load only what they need

    out = Out(as_json=as_json)
    _leave(lambda: command(_settings(), out, run=of_run, entity=entity, record=record, status=of_status, most=limit))


@app.command(context_settings=_TAKES_IDS)
def explain(
    client_id: Annotated[str | None, typer.Argument(help="The client's id in Phorest.")] = None,
    appointment: Annotated[
        str | None, typer.Option("--appointment", metavar="ID", help="An appointment in place of a client.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Read the contact or the event from GHL now, by its id.")
    ] = False,
    values: Annotated[bool, typer.Option(help="Show the values, which are personal, instead of masks.")] = False,
    as_json: Json = False,
) -> None:
    """Say why a client's contact, or an appointment's event, is as it is: sources, group, rules, what was sent, what waits."""
    from phorest_ghl.commands.explain import explain as command  # noqa: PLC0415 - commands load only what they need

    if (client_id is None) == (appointment is None):
        sys.stderr.write("Name a client's id, or an appointment's with --appointment.\n")
        raise typer.Exit(Exit.WRONG_USE)
    entity, phorest_id = ("client", client_id) if appointment is None else ("appointment", appointment)
    out = Out(as_json=as_json)
    _leave(lambda: command(_settings(), out, entity=entity, phorest_id=str(phorest_id), live=live, values=values))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check settings, database, Phorest, GoHighLevel and the budget, with what to do about each red line."""
    from phorest_ghl.commands.doctor import doctor as command  # noqa: PLC0415 - commands load only what they need

    _leave(lambda: command(Out(as_json=as_json)))


@auth_app.callback()
def auth(
    context: typer.Context,
    timeout_s: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait for the browser.")] = 300,
    browse: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the browser here.")] = True,
    as_json: Json = False,
) -> None:
    """Authorize the marketplace app in the browser, and store its tokens encrypted."""
    from phorest_ghl.commands.auth import authorize  # noqa: PLC0415 - commands load only what they need

    if context.invoked_subcommand is None:
        _leave(lambda: authorize(_settings(), Out(as_json=as_json), timeout_s=timeout_s, browse=browse))


@auth_app.command("status")
def auth_status(as_json: Json = False) -> None:
    """Show what GHL is called with, and how long it holds; asks nobody outside."""
    from phorest_ghl.commands.auth import status as command  # noqa: PLC0415 - commands load only what they need

    _leave(lambda: command(_settings(), Out(as_json=as_json)))


@auth_app.command("rotate-key")
def auth_rotate_key(
    finish: Annotated[
        bool, typer.Option("--finish", help="Drop the earlier keys, once everything was restarted.")
    ] = False,
    env_file: Annotated[Path, typer.Option(help="The file that holds the key.")] = Path(".env"),
    as_json: Json = False,
) -> None:
    """Make a new PHOREST_GHL_SECRET_KEY and seal every token under it; the earlier key still reads until --finish."""
    from phorest_ghl.commands.auth import rotate_key as command  # noqa: PLC0415 - commands load only what they need

    _leave(lambda: command(_settings(), Out(as_json=as_json), env_file=env_file, finish=finish))


@review_app.callback()
def review(
    context: typer.Context,
    values: Annotated[
        bool, typer.Option(help="Show the names and addresses of both sides, which are personal.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what waits for a person, and answer: accept, refuse or recreate."""
    from phorest_ghl.commands.review import show  # noqa: PLC0415 - commands load only what they need

    if context.invoked_subcommand is None:
        _leave(lambda: show(_settings(), Out(as_json=as_json), values=values))


@review_app.command(context_settings=_TAKES_IDS)
def accept(
    what: Annotated[str, typer.Argument(help="adoption, identity or opt-in.")],
    client: Annotated[str, typer.Argument(help="The client's Phorest id; for opt-ins also: all.")],
    as_json: Json = False,
) -> None:
    """Take the contact that waits, let Phorest's values win on it, or let channels open that waited."""
    _answer(f"accept {what}", client, as_json=as_json)


@review_app.command(context_settings=_TAKES_IDS)
def refuse(
    what: Annotated[str, typer.Argument(help="adoption.")],
    client: Annotated[str, typer.Argument(help="The client's Phorest id.")],
    as_json: Json = False,
) -> None:
    """The contact is somebody else's: do not ask again while both sides stay as they are."""
    _answer(f"refuse {what}", client, as_json=as_json)


@review_app.command(context_settings=_TAKES_IDS)
def recreate(
    client: Annotated[str, typer.Argument(help="The client's Phorest id.")],
    as_json: Json = False,
) -> None:
    """Make a contact again that is gone from GHL."""
    _answer("recreate", client, as_json=as_json)


@app.command()
def dev(port: Annotated[int, typer.Option(help="Port of Dagster's UI.")] = 3000) -> None:
    """Start the database and Dagster's UI with the settings there are, until Ctrl-C."""
    from phorest_ghl.commands.dev import dev as command  # noqa: PLC0415 - commands load only what they need

    _leave(lambda: command(_settings(), Out(as_json=False), port=port))


@app.command()
def schedules(
    turn: Annotated[Literal["on", "off"] | None, typer.Argument(help="on or off; without it they are shown.")] = None,
    names: Annotated[list[str] | None, typer.Argument(help="Lines of the cron table; without one, all.")] = None,
    as_json: Json = False,
) -> None:
    """Show which jobs run by themselves, or turn them on and off."""
    from phorest_ghl.commands.schedules import schedules as command  # noqa: PLC0415 - commands load only what they need

    _leave(lambda: command(_settings(), Out(as_json=as_json), turn=turn, names=names or ()))


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="import, budget or shared-budget.")],
    clients: Annotated[int | None, typer.Option(help="Clients to import, where that is its size.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds of every contender.")] = None,
    requests: Annotated[int | None, typer.Option(help="Requests to send, where that is its size.")] = None,
    rate_window_s: Annotated[float | None, typer.Option(help="Seconds of GHL's window, 10 in truth.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of chaos.")] = None,
    only_round: Annotated[int | None, typer.Option(help="The one round of chaos to run again.")] = None,
    as_json: Json = False,
) -> None:
    """Measure this product beside a peer on this machine; exit code 0 only if its bar holds."""
    from phorest_ghl.commands.bench import run_bench  # noqa: PLC0415 - the peers are no part of other commands

    code = run_bench(
        name,
        as_json=as_json,
        clients=clients,
        rounds=rounds,
        requests=requests,
        rate_window_s=rate_window_s,
        seed=seed,
        only_round=only_round,
    )
    raise typer.Exit(code)


@app.command("stop-database")
def stop_database() -> None:
    """Stop the embedded PostgreSQL; any command starts it again."""
    from phorest_ghl.assembly import embedded_server  # noqa: PLC0415 - commands load only what they need

    def command() -> Exit:
        embedded_server(_settings()).stop()
        return Exit.WELL

    _leave(command)


@app.command("database-url")
def database_url() -> None:
    """Print the database's address for psql; starts the embedded server if it is not running."""
    from phorest_ghl.assembly import libpq_url, start_database  # noqa: PLC0415 - commands load only what they need

    def command() -> Exit:
        sys.stdout.write(libpq_url(start_database(_settings()).ours) + "\n")
        return Exit.WELL

    _leave(command)


@app.command("settings-example")
def settings_example() -> None:
    """Print .env.example, made from the settings there are."""
    sys.stdout.write(env_example())


def main() -> None:
    """The console script."""
    heed_signals()
    app()


def _settings() -> Settings:
    return load_settings()


def _answer(words: str, client: str, *, as_json: bool) -> None:
    from phorest_ghl.commands.review import KINDS, decide  # noqa: PLC0415 - commands load only what they need

    if words not in KINDS:
        sys.stderr.write(f"There is nothing to {words}. There is: {', '.join(KINDS)}.\n")
        raise typer.Exit(Exit.WRONG_USE)
    _leave(lambda: decide(_settings(), Out(as_json=as_json), kind=KINDS[words], client=client))


def _known(entity: str) -> None:
    if entity not in _ENTITIES:
        sys.stderr.write(f"There is no entity {entity} to sync yet; there is {', '.join(_ENTITIES)}.\n")
        raise typer.Exit(Exit.WRONG_USE)


def _leave(command: Callable[[], Exit]) -> None:
    raise typer.Exit(run(command))
