"""Pages in a form that the API once had: read as if they were of today, with the vendor's own payload kept."""

import json
from typing import Any

import pytest

from phorest_ghl.db.bulk import RAW_KEY, PageWriter
from phorest_ghl.db.keyed import Keyring
from phorest_ghl.phorest.local_time import instants_by_key
from phorest_ghl.phorest.models import Appointment
from phorest_ghl.phorest.pages import Page, parse_page
from phorest_ghl.phorest.specs import APPOINTMENTS, CLIENTS
from phorest_ghl_tests.phorest.test_local_time import DUBLIN, utc
from phorest_ghl_tests.support.databases import Database


def booking(key: str, **more: Any) -> dict[str, Any]:
    return {
        "appointmentId": key,
        "version": 1,
        "branchId": "D",
        "appointmentDate": "2025-07-14",
        "startTime": "09:30:00.000",
        "endTime": "10:15:00.000",
        **more,
    }


def page(*rows: Any, embedded: Any = None) -> Page:
    meta = {"number": 0, "size": 100, "totalElements": len(rows), "totalPages": 1}
    content = {"appointments": list(rows)} if embedded is None else embedded
    return parse_page(APPOINTMENTS, json.dumps({"_embedded": content, "page": meta}).encode())


def starts(found: Page) -> list[str]:
    return [row.startTime for row in found.records if isinstance(row, Appointment)]


def written(found: Page) -> list[Any]:
    rows: Any = json.loads(found.document)
    for part in found.path:
        rows = rows[part]
    return rows


def test_times_in_parts_are_read_as_times_and_kept_as_they_came() -> None:
    old = booking("A", startTime={"hour": 9, "minute": 30}, endTime={"hour": 10, "minute": 15, "second": 0})
    found = page(old, booking("B", startTime="11:00"))
    assert (found.rows, found.set_aside, dict(found.odd_fields)) == (2, (), {})
    assert starts(found) == ["09:30:00.000", "11:00"]
    assert written(found)[0][RAW_KEY] == old
    assert RAW_KEY not in written(found)[1]


def test_an_odd_value_beside_times_in_parts_loses_neither(database: Database) -> None:
    old = booking("A", startTime={"hour": 9, "minute": 30}, price="a lot")
    found = page(old, booking("B", startTime={"hour": 99}))
    assert dict(found.odd_fields) == {"price": 1}
    assert [aside.phorest_id for aside in found.set_aside] == ["B"]
    writer = PageWriter(
        APPOINTMENTS.table,
        entity_type="appointment",
        id_fields=("appointmentId",),
        columns=APPOINTMENTS.columns,
        keyring=Keyring(b"sixteen bytes and more"),
    )
    with database.engine.begin() as connection:
        looked_up = instants_by_key(found.records, DUBLIN, "branch_local")
        writer.write(connection, found.document, path=found.path, batch_id="B", branch_id="D", derived_from=looked_up)
        row = connection.exec_driver_sql("select raw, starts_at, price from phorest_appointments").one()
    assert row.raw == old
    assert (row.starts_at, row.price) == (utc("2025-07-14T08:30"), None)


def test_a_list_under_embedded_is_read_like_an_object() -> None:
    found = page(booking("A"), booking("B"), embedded=[booking("A"), booking("B")])
    assert found.rows == 2
    assert len(starts(found)) == 2


@pytest.mark.parametrize(
    "times", [{"startTime": "24:00:00.000"}, {"endTime": "9:30"}, {"appointmentDate": "9999-12-31"}]
)
def test_what_is_no_time_or_no_day_sets_its_row_aside(times: dict[str, str]) -> None:
    found = page(booking("A", **times), booking("B"))
    assert [aside.phorest_id for aside in found.set_aside] == ["A"]
    assert next(iter(times)) in found.set_aside[0].reason
    assert len(starts(found)) == 1


def test_an_entity_that_never_had_another_form_is_not_searched_for_one() -> None:
    assert CLIENTS.mend is None
