"""A page of a Phorest list: validated once, bad rows set aside, the rest handed on as JSON.

Belongs here: the envelope (facts/phorest-api §3) and what is wrong with which row. Does not: HTTP, SQL.

A clean page, the normal case, is never taken apart in Python: PostgreSQL unpacks it. Only a page with something wrong is.
"""

import copy
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, cast

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic_core import ErrorDetails

from phorest_ghl.db.bulk import RAW_KEY
from phorest_ghl.db.row_hashes import Hashed
from phorest_ghl.phorest.clean_pages import first_look
from phorest_ghl.phorest.models import PageMeta, Wire
from phorest_ghl.phorest.specs import ImportSpec

_NUL = b"\\u0000"  # valid JSON, but PostgreSQL's jsonb has no place for it
_REPLACEMENT = "\ufffd"
_SURROGATE = re.compile("[\ud800-\udfff]")

Json = dict[str, Any]


class MalformedPage(ValueError):
    """The answer is no page: a sentence says what is missing."""


@dataclass(frozen=True)
class SetAside:
    """A row that could not be imported, and why. Nothing of its content is repeated, for it may be personal."""

    phorest_id: str | None
    position: int
    reason: str


@dataclass(frozen=True)
class Page:
    """One page. `document` is JSON in UTF-8, with the rows to write in the array at `path`."""

    number: int
    total_pages: int
    total_elements: int
    document: bytes = field(repr=False)
    path: tuple[str, ...]
    rows: int
    set_aside: tuple[SetAside, ...] = ()
    odd_fields: Mapping[str, int] = field(default_factory=dict[str, int])
    records: Sequence[Wire] = field(default=(), repr=False)
    """The rows as validated, for entities whose rows are looked at again (`keeps_records`); a broken page's rows are
    validated anew once their odd members are gone."""
    changed: Sequence[datetime | None] = field(default=(), repr=False)
    """When each row changed last, for entities with a delta."""
    hashed: Hashed | None = field(default=None, repr=False)
    """The rows' keyed hashes and their ids (`PageWriter.hashed`), once somebody has made them."""


def keeps_records(spec: ImportSpec) -> bool:
    """Whether a page's rows are kept as validated: short lists, and those from whose rows something is computed.

    Of the others only when they changed: thousands of objects that wait for their page to be written cost the garbage
    collector a third of an import.
    """
    return spec.delta is None or any(column.derived for column in spec.columns)


def parse_page(spec: ImportSpec, body: bytes) -> Page:
    """Read a list answer. Raises MalformedPage where the body is no envelope (HTML, cut off, no page counts)."""
    look = None if keeps_records(spec) else first_look(spec)
    clean = look(body) if look else None
    if clean is not None and clean.changed:
        return Page(
            number=clean.number,
            total_pages=clean.total_pages,
            total_elements=clean.total_elements,
            document=body,
            path=("_embedded", spec.embedded_key),
            rows=len(clean.changed),
            changed=clean.changed,
        )
    try:
        envelope = _envelope(spec).model_validate_json(body)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        if any(detail["type"] == "json_invalid" for detail in errors):
            mended = _mended(body)
            if mended is None:
                raise MalformedPage(
                    f"the answer of GET {spec.path} is not JSON; it may be cut off or an error page"
                ) from None
            return parse_page(spec, mended)
        renewed = _renewed(spec, body)
        return _patched(spec, body, errors) if renewed is None else parse_page(spec, renewed)
    rows: list[Any] = getattr(envelope.embedded, spec.embedded_key) if envelope.embedded else []
    if _NUL in body or _lacks_id(spec, envelope.embedded):
        return _patched(spec, body, [])
    if not rows:
        return _page(envelope.page, b"[]", (), 0)
    return _page(envelope.page, body, ("_embedded", spec.embedded_key), len(rows), **_kept(spec, rows))


@dataclass(frozen=True)
class Row:
    """One row of a page, to be written alone."""

    record: object

    @property
    def document(self) -> bytes:
        """A JSON array of it alone."""
        return json.dumps([self.record]).encode()

    def phorest_id(self, spec: ImportSpec) -> str | None:
        """Its id, if it has one."""
        return _phorest_id(spec, self.record)


def rows_of(page: Page) -> list[Row]:
    """The rows that a page has to write, one by one."""
    found: Any = json.loads(page.document)
    for part in page.path:
        found = found[part]
    return [Row(record) for record in found]


def parse_one(spec: ImportSpec, body: bytes) -> Page:
    """Read a single record as a page of one."""
    try:
        record: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedPage(f"the answer of a single read below {spec.path} is not JSON") from None
    meta = {"number": 0, "size": 1, "totalElements": 1, "totalPages": 1}
    return parse_page(spec, orjson.dumps({"_embedded": {spec.embedded_key: [record]}, "page": meta}))


def _mended(body: bytes) -> bytes | None:
    """The body with every broken character replaced, or None if it is no JSON even so.

    A text cut in the middle of an emoji leaves half a surrogate pair, which strict parsers refuse: one client's note would
    make its whole page unreadable for ever.
    """
    try:
        text = json.dumps(json.loads(body.decode("utf-8", "replace")), ensure_ascii=False)
        mended = _SURROGATE.sub(_REPLACEMENT, text).encode()
        orjson.loads(mended)
    except ValueError:
        return None
    return None if mended == body else mended


def _renewed(spec: ImportSpec, body: bytes) -> bytes | None:
    """The body in the present form, or None if it is in it.

    An old version of the API's description has `_embedded` as an array (§11.2), and records may have an older form, which
    is kept beside the new one.
    """
    envelope = _parsed(body)
    if envelope is None:
        return None
    rows = _rows(spec, envelope)
    mend = spec.mend
    renewed = rows if mend is None else [_renewed_row(mend, row) for row in rows]
    if renewed == rows and not isinstance(envelope.get("_embedded"), list):
        return None
    return json.dumps({**envelope, "_embedded": {spec.embedded_key: renewed}}).encode()


def _renewed_row(mend: Callable[[Json], Json], row: object) -> object:
    if not isinstance(row, dict):
        return row
    record = cast("Json", row)
    mended = mend(record)
    return record if mended == record else {RAW_KEY: record, **mended}


class _Envelope(BaseModel):
    """`_embedded` is missing when nothing matches; it is never an empty object with a null list (§3)."""

    model_config = ConfigDict(extra="ignore", strict=True)

    embedded: BaseModel | None = Field(default=None, alias="_embedded")
    page: PageMeta


@cache
def _envelope(spec: ImportSpec) -> type[_Envelope]:
    fields: dict[str, Any] = {spec.embedded_key: (_row_type(spec), Field(default_factory=list))}
    make: Any = create_model  # its overloads know no field names that are made at run time
    embedded: Any = make("Embedded", __config__=ConfigDict(strict=True, extra="ignore"), **fields)
    return make("Envelope", __base__=_Envelope, embedded=(embedded | None, Field(default=None, alias="_embedded")))


def _row_type(spec: ImportSpec) -> Any:
    """The rows' type, each of which is let go as soon as it is validated where only its change is kept."""
    row: Any = spec.model
    if spec.delta is not None and not keeps_records(spec):
        row = Annotated[row, AfterValidator(attrgetter(spec.delta.updated_at))]
    rows: Any = list[row]
    return rows


def _kept(spec: ImportSpec, rows: list[Any]) -> dict[str, Any]:
    """What a page keeps of its validated rows."""
    if not keeps_records(spec):
        return {"changed": rows}
    return {"records": rows, "changed": [getattr(row, spec.delta.updated_at) for row in rows] if spec.delta else ()}


def _page(meta: PageMeta, document: bytes, path: tuple[str, ...], rows: int, **more: Any) -> Page:
    return Page(
        number=meta.number,
        total_pages=meta.totalPages,
        total_elements=meta.totalElements,
        document=document,
        path=path,
        rows=rows,
        **more,
    )


def _patched(spec: ImportSpec, body: bytes, errors: Sequence[ErrorDetails]) -> Page:
    """The same page, without the rows that cannot be kept and without the odd values in the others' typed columns."""
    envelope = _parsed(body) or {}
    try:
        meta = PageMeta.model_validate(envelope.get("page"))
    except ValidationError:
        raise MalformedPage(f"the answer of GET {spec.path} has no page counts, so its end cannot be known") from None
    rows = _rows(spec, envelope)
    by_row: dict[int, list[ErrorDetails]] = {}
    for error in errors:
        if len(error["loc"]) > 2 and isinstance(error["loc"][2], int):
            by_row.setdefault(error["loc"][2], []).append(error)
    kept: list[Json] = []
    set_aside: list[SetAside] = []
    odd: Counter[str] = Counter()
    for position, row in enumerate(rows):
        reason = _unusable(spec, row, by_row.get(position, ()))
        if reason:
            set_aside.append(SetAside(_phorest_id(spec, row), position, reason))
        else:
            kept.append(_patch_row(cast("Json", row), by_row.get(position, ()), odd))
    document = json.dumps(kept).encode()
    return _page(
        meta,
        document,
        (),
        len(kept),
        set_aside=tuple(set_aside),
        odd_fields=dict(odd),
        **_kept(spec, _row_list(spec).validate_json(document)),
    )


@cache
def _row_list(spec: ImportSpec) -> TypeAdapter[list[Any]]:
    return TypeAdapter(_row_type(spec))


def _parsed(body: bytes) -> Json | None:
    """The envelope, or None where the body is another kind of JSON."""
    # Not orjson: it makes floats of integers beyond 64 bits, and refuses numbers beyond all doubles.
    found: object = json.loads(body, parse_float=_finite, parse_constant=lambda _: None)
    return cast("Json", found) if isinstance(found, dict) else None


def _finite(number: str) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None


def _rows(spec: ImportSpec, envelope: Json) -> list[object]:
    embedded = envelope.get("_embedded")
    if isinstance(embedded, list):
        return cast("list[object]", embedded)
    found: object = cast("Json", embedded).get(spec.embedded_key) if isinstance(embedded, dict) else []
    if found is None:
        return []
    if not isinstance(found, list):
        raise MalformedPage(f"the answer of GET {spec.path} holds no list under {spec.embedded_key}")
    return cast("list[object]", found)


def _phorest_id(spec: ImportSpec, row: object) -> str | None:
    if not isinstance(row, dict):
        return None
    found = next((value for name in spec.id_fields if (value := cast("Json", row).get(name))), None)
    return cast("str", _without_nul(found)) if isinstance(found, str) else None  # it is named in work items


def _lacks_id(spec: ImportSpec, embedded: BaseModel | None) -> bool:
    if len(spec.id_fields) == 1 or embedded is None:
        return False  # a single id field is required by the model
    rows: list[Wire] = getattr(embedded, spec.embedded_key)
    return any(not any(getattr(row, name) for name in spec.id_fields) for row in rows)


def _unusable(spec: ImportSpec, row: object, errors: Sequence[ErrorDetails]) -> str | None:
    if not isinstance(row, dict):
        return "the record is no object"
    if _phorest_id(spec, cast("Json", row)) is None:
        return f"the record has no {' or '.join(spec.id_fields)}"
    fields = spec.model.model_fields
    wrong = sorted({str(e["loc"][3]) for e in errors if len(e["loc"]) > 3 and fields[str(e["loc"][3])].is_required()})
    return f"the record's {', '.join(wrong)} is missing or of another type than Phorest documents" if wrong else None


def _patch_row(row: Json, errors: Sequence[ErrorDetails], odd: Counter[str]) -> Json:
    """A copy whose odd members are null, with the vendor's own payload beside it (without NUL, which jsonb refuses)."""
    raw = cast("Json", _without_nul(row))
    if raw == row and not errors:
        return row
    patched = copy.deepcopy(raw)
    for path in {_path_within(row, error["loc"][3:]) for error in errors}:
        target = patched
        for part in path[:-1]:
            target = target[part]
        target[path[-1]] = None
        odd[".".join(path)] += 1
    return {**patched, RAW_KEY: raw.get(RAW_KEY, raw)}


def _path_within(row: Json, loc: Sequence[str | int]) -> tuple[str, ...]:
    """The member of the row that an error is about; further parts of `loc` name union branches or list places."""
    path: list[str] = []
    here: object = row
    for part in loc:
        if not isinstance(here, dict) or not isinstance(part, str) or part not in here:
            break
        path.append(part)
        here = cast("object", here[part])
    return tuple(path) or (str(loc[0]),)


def _without_nul(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\0", _REPLACEMENT)
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(member) for key, member in cast("Json", value).items()}
    if isinstance(value, list):
        return [_without_nul(member) for member in cast("list[object]", value)]
    return value
