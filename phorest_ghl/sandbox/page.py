"""The page at `/`: the truth at a glance, for people.

Belongs here: HTML made of counts. Does not belong here: anything a test would read; that is what `/__sandbox__` is for.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from phorest_ghl.sandbox.observed import Observed
from phorest_ghl.sandbox.store import Row
from phorest_ghl.sandbox.wire import Reply
from phorest_ghl.sandbox.world import World

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#222;background:#fafafa}
h1{font-size:1.4rem}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}section{display:grid;grid-template-columns:1fr 1fr;gap:0
2rem} table{border-collapse:collapse;width:100%;background:#fff}td,th{padding:.2rem .6rem;border-bottom:1px solid
#eee;text-align:left}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.bad{color:#b00020}code{background:#eee;padding:0 .25rem}
@media(max-width:700px){section{grid-template-columns:1fr}}
"""


def page(world: World, observed: Observed) -> Reply:
    """Counts of both sides, what would have been sent, the last requests."""
    counts, sent, report = world.counts(), world.automations.summary(), observed.report()
    messages = {
        "would have been sent": sent["sent"],
        "kept back by a filter": sent["filtered"],
        "blocked": sent["blocked"],
    }
    body = (
        "<section>"
        f"<div><h2>Phorest</h2>{_numbers(counts['phorest'], 'phorest')}</div>"
        f"<div><h2>GoHighLevel</h2>{_numbers(counts['ghl'], 'ghl')}</div>"
        f"<div><h2>Messages</h2>{_numbers(messages)}</div>"
        f"<div><h2>Messages by trigger</h2>{_numbers(sent['sent_by_trigger'])}</div>"
        f"</section><h2>Requests</h2>{_apis(report['apis'])}"
        f"<h2>The last requests</h2>{_table(('at', 'api', 'method', 'route', 'status'), reversed(report['recent'][-15:]))}"
        f"<h2>The last messages</h2>{_table(('at', 'contact', 'channel', 'workflow', 'reason'), world.automations.last(15))}"
    )
    clock = world.clock.now().isoformat(timespec="seconds")
    refresh = "<meta http-equiv=refresh content=5>"
    head = f"<!doctype html><meta charset=utf-8>{refresh}<title>Sandbox</title><style>{_STYLE}</style>"
    intro = f"<h1>Phorest and GoHighLevel, simulated</h1><p>The salon's clock says {clock}.</p>"
    hint = "<p>The truth and the controls are below <code>/__sandbox__</code>.</p>"
    return Reply(200, (head + intro + hint + body).encode(), media="text/html; charset=utf-8")


def _numbers(counts: Mapping[str, int], side: str = "") -> str:
    """Counts; those of a vendor's kinds lead to the rows themselves."""
    rows = "".join(f"<tr><td>{_named(name, side)}<td class=n>{count:,}" for name, count in counts.items() if count)
    return f"<table>{rows or '<tr><td>nothing yet'}</table>"


def _named(name: str, side: str) -> str:
    shown = escape(name.replace("_", " "))
    if not side or name == "syncable_clients":  # a share of the clients, no kind of its own
        return shown
    return f"<a href=/__sandbox__/{side}/{escape(name.replace('_', '-'))}>{shown}</a>"


def _apis(apis: Mapping[str, Row]) -> str:
    columns = ("requests", "rejected_429", "most_in_window", "window_s")
    head = "<th>API" + "".join(f"<th class=n>{escape(name.replace('_', ' '))}" for name in columns)
    lines = [(api, "".join(f"<td class=n>{row[name]:,}" for name in columns)) for api, row in apis.items()]
    return f"<table><tr>{head}{''.join(f'<tr><td>{escape(api)}{cells}' for api, cells in lines)}</table>"


def _table(columns: Sequence[str], rows: Iterable[Row]) -> str:
    head = "".join(f"<th>{escape(name)}" for name in columns)
    lines = "".join("<tr>" + "".join(_cell(name, row[name]) for name in columns) for row in rows)
    return f"<table><tr>{head}{lines}</table>"


def _cell(name: str, value: object) -> str:
    bad = name == "status" and isinstance(value, int) and value >= 400
    return f"<td{' class=bad' if bad else ''}>{escape('' if value is None else str(value))}"
