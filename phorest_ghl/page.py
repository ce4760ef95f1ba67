"""A page for a browser in one file: no script, no picture, no font from elsewhere. Every text in it is escaped.

Belongs here: tables, figures and lines drawn as SVG. Does not: what they say (`sync.plan_page`, `audit.report`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

_STYLE = """
:root{color-scheme:light dark}body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.3rem 0}
table{border-collapse:collapse;font-size:13px}th,td{text-align:left;vertical-align:top;padding:.2rem .7rem .2rem 0;
border-bottom:1px solid #8884;overflow-wrap:anywhere}th{white-space:nowrap}.stop{color:#b00020;font-weight:600}
.figures{display:flex;flex-wrap:wrap;gap:.4rem 1.6rem}.figures b{display:block;font-size:1.2rem}.wide{overflow-x:auto}
svg{max-width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:currentColor}
"""
_STOP = ' class="stop"'
_COLOURS = ("#3366cc", "#dc7633", "#2e8b57", "#a23b72", "#7a7a00", "#5b4b8a", "#00838f", "#b03a2e")
_WIDTH, _HEIGHT, _LEFT, _BELOW, _RIGHT = 720, 220, 46, 30, 14


def page(title: str, *parts: str) -> str:
    """A whole document; `parts` are made by the functions below."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1>{''.join(parts)}</body></html>\n"
    )


def heading(text: str) -> str:
    """A heading."""
    return f"<h2>{escape(text)}</h2>"


def sentence(text: str, *, stops: bool = False) -> str:
    """A paragraph; one that `stops` is set off."""
    return f"<p{_STOP if stops else ''}>{escape(text)}</p>"


def figures(values: Mapping[str, object]) -> str:
    """Single numbers with what they are of."""
    shown = "".join(f"<div><b>{escape(str(value))}</b>{escape(name)}</div>" for name, value in values.items())
    return f'<div class="figures">{shown}</div>'


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; None is an empty cell."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    lines = ("".join(f"<td>{escape(_text(cell))}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


@dataclass(frozen=True)
class Series:
    """A line of a chart: a value for each of the chart's moments, None where nothing is known."""

    name: str
    values: Sequence[float | None]


def chart(moments: Sequence[str], series: Sequence[Series], *, unit: str = "", label: str = "") -> str:
    """Lines over the same moments as an SVG picture, with a legend, the scale and the first and last moment.

    A value beside unknown ones is a dot. `label` says what is seen, for who cannot see it.
    """
    known = [value for one in series for value in one.values if value is not None]
    if not moments or not known:
        return sentence("Nothing to draw yet.")
    top = max(known) or 1.0
    drawn = "".join(_line(one, _COLOURS[place % len(_COLOURS)], top) for place, one in enumerate(series))
    ground = _HEIGHT - _BELOW
    heights = {part: ground - part * (ground - 12) for part in (0.0, 0.5, 1.0)}
    scale = "".join(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8884"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(_number(top * part))}</text>'
        for part, y in heights.items()
    )
    ends = (
        f'<text x="{_LEFT}" y="{_HEIGHT - 8}">{escape(moments[0])}</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 8}" text-anchor="end">{escape(moments[-1])}</text>'
    )
    legend = "".join(
        f'<span style="color:{_COLOURS[place % len(_COLOURS)]}">■</span> {escape(one.name)} '
        for place, one in enumerate(series)
    )
    return (
        f'<p>{legend}({escape(unit)})</p><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" '
        f'aria-label="{escape(label)}">{scale}{drawn}{ends}</svg>'
    )


def _line(one: Series, colour: str, top: float) -> str:
    """Its known stretches, each a polyline; a value alone is a dot."""
    ground, room = _HEIGHT - _BELOW, _WIDTH - _LEFT - _RIGHT
    step = room / max(1, len(one.values) - 1)
    stretches: list[list[str]] = [[]]
    for place, value in enumerate(one.values):
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append(f"{_LEFT + place * step:.1f},{ground - value / top * (ground - 12):.1f}")
    drawn: list[str] = []
    for points in filter(None, stretches):
        x, _, y = points[0].partition(",")
        if len(points) == 1:
            drawn.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>')
        else:
            line = " ".join(points)
            drawn.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return "".join(drawn)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _text(cell: object) -> str:
    return "" if cell is None else str(cell)
