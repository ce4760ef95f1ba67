"""`bench product-tags`: what it takes to tag everybody who bought something, by bulk calls.

A salon with an empty diary is loaded; then 10,000 of its mapped clients buy products at the desk, the sales are imported,
and the run of the products cron tags them. It may take one bulk call for each tag and 500 buyers, and one request more, which
asks for the location. Whom GHL shows with which tag afterwards is compared with what was sold. A run after it writes
nothing. Requests are counted by the sandbox; the ratio is those that may be by those that were.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random

from sqlalchemy import text

from benchmarks import counted
from benchmarks.desk import Desk, desk
from benchmarks.lab import Lab, sandbox, sandbox_options, settings_of
from benchmarks.report import BenchError, Figure, Options, Report, Say, rounded_down
from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.ghl.fields import PRODUCT_PREFIX, product_tag
from phorest_ghl.phorest.purchases import PurchaseImporter
from phorest_ghl.sandbox.server import SandboxProcess
from phorest_ghl.sync.parts import PARTS, Part
from phorest_ghl.sync.summary import RunResult

TAKES = frozenset({"--clients"})
BUYERS = 10_000
_CLIENTS = 15_600
"""Of so many, a little more than 10,000 have a contact of their own."""
_PRODUCTS = 12
_SEED = 7
_RATE_WINDOW_S = 0.1  # GHL's window of 10 s, shrunk: nothing here is about pace
_BULK = "POST /contacts/bulk/tags/update/{type}"


def run(options: Options, say: Say) -> Report:
    """Measure.

    Raises:
        BenchError: an option is not for this benchmark, or the salon could not be brought.
    """
    options.check("product-tags", TAKES)
    salon = sandbox_options(
        clients=options.clients or _CLIENTS,
        months=0,
        rate_window_s=_RATE_WINDOW_S,
        switches={"phorest_rate_max": 1_000_000, "ghl_rate_max": 1_000_000, "ghl_search_lag_s": _RATE_WINDOW_S},
    )
    with Lab() as lab, sandbox(salon) as served, lab.database() as database, desk(served) as people:
        settings = settings_of(
            served,
            database,
            PHOREST_REQUESTS_PER_SECOND="10000",
            GHL_RATE_LIMIT="1000",
            GHL_RATE_WINDOW_S=str(_RATE_WINDOW_S),
            GHL_DAILY_LIMIT="1000000",
            PRODUCT_TAGS_BEFORE_GO_LIVE="yes",
        )
        with open_runtime(settings) as runtime:
            _bring(runtime, say)
            return _measured(served, runtime, people, say)


def _bring(runtime: Runtime, say: Say) -> None:
    """Import the salon, its empty diary and its sales, of which there are none, and make its contacts."""
    importer = runtime.importer("bench-first")
    complete = importer.clients()["client"].complete
    importer.catalogue()
    importer.appointments()
    _import_sales(runtime, "bench-none")
    if not complete:
        raise BenchError("The sandbox's salon could not be imported whole, so there is nobody to tag.")
    result = _apply(runtime, "bench-contacts", None, confirm=True)
    say(f"product-tags: {result.changes['create']} contacts first")


def _measured(served: SandboxProcess, runtime: Runtime, people: Desk, say: Say) -> Report:
    sold = _sell(served, runtime, people)
    say(f"product-tags: {len(sold)} clients have bought")
    people.pass_time(600)
    _import_sales(runtime, "bench-sales")
    counted.forget(served)
    started = time.perf_counter()
    result = _apply(runtime, "bench-tags", PARTS["products"])
    seconds = time.perf_counter() - started
    asked = counted.operations(served, "ghl")
    bound = counted.bulk_calls(Counter(tag for tags in sold.values() for tag in tags).values()) + 1
    held = {
        contact["id"]: tags
        for contact in served.truth("ghl/contacts")
        if (tags := {tag for tag in contact["tags"] if tag.startswith(PRODUCT_PREFIX)})
    }
    time.sleep(2 * _RATE_WINDOW_S)  # until the search shows it
    counted.forget(served)
    again = _apply(runtime, "bench-unchanged", PARTS["products"])
    later = counted.writes(counted.operations(served, "ghl")).total()
    requests = asked.total()
    say(f"product-tags: {requests} requests of {bound}, {seconds:.1f} s")
    figures: dict[str, Figure] = {
        "buyers": len(sold),
        "tags": len({tag for tags in sold.values() for tag in tags}),
        "taggings": sum(len(tags) for tags in sold.values()),
        "bulk_calls": asked[_BULK],
        "requests": requests,
        "bound": bound,
        "wrongly_tagged": sum(held.get(key, set()) != sold.get(key, set()) for key in held.keys() | sold.keys()),
        "applied": result.outcomes["applied"],
        "wall_s": round(seconds, 1),
        "unchanged_writes": later + again.outcomes["applied"],
    }
    ratio = rounded_down(bound / requests)
    holds = ratio >= 1 and not figures["wrongly_tagged"] and not figures["unchanged_writes"]
    return Report(name="product-tags", figures={"buyers": figures}, ratio=ratio, bar=1.0, holds=holds)


def _sell(served: SandboxProcess, runtime: Runtime, people: Desk) -> Mapping[str, set[str]]:
    """Let mapped clients buy from one to three products each; the tags that their contacts should then carry."""
    with runtime.engine.connect() as connection:
        rows = connection.execute(
            text("""select phorest_id, ghl_id from entity_mappings
                    where entity_type = 'client' and role = 'primary' and removed_at is null order by phorest_id""")
        ).all()
    rng = Random(_SEED)
    products = rng.sample(
        [row for row in served.truth("phorest/products") if row["branchId"] == people.branch and not row["archived"]],
        _PRODUCTS,
    )
    found: dict[str, set[str]] = defaultdict(set)
    for client_id, ghl_id in rows[:BUYERS]:
        bought = rng.sample(products, rng.randint(1, 3))
        people.sell(client_id, bought)
        found[ghl_id] |= {tag for product in bought if (tag := product_tag(product["name"]))}
    return found


def _import_sales(runtime: Runtime, name: str) -> None:
    sales = PurchaseImporter(runtime.engine, runtime.phorest(), runtime.keyring(), batch_id=name)
    result = sales.run(runtime.importer(name).branches())
    if not result.complete:
        raise BenchError(f"The sandbox's sales could not be imported whole: {result.problem}")


def _apply(runtime: Runtime, name: str, part: Part | None, *, confirm: bool = False) -> RunResult:
    started = datetime.now(UTC)
    road = runtime.clients_sync(batch_id=name, writing=True, lag_s=_RATE_WINDOW_S, part=part)
    if confirm:
        road.confirm_workflows("bench")
    prepared = road.prepare()
    result = road.apply(road.plan(prepared), prepared, started_at=started)
    if result.error or result.outcomes["failed"] or result.outcomes["deferred"]:
        raise BenchError(f"The run {name} did not come to its end: {result.outcomes}, {result.error or 'no error'}.")
    return result
