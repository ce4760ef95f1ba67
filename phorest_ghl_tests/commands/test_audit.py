"""What `audit` shows: counts by kind, who acts, and what was not checked."""

from collections.abc import Generator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from phorest_ghl.audit.findings import Act, Finding, Kind
from phorest_ghl.audit.log import EntityAudit
from phorest_ghl.audit.run import Audited
from phorest_ghl.commands import audit as command
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.settings import Settings


def test_what_is_left_for_a_person_ends_with_one_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = Finding(entity_type="client", kind=Kind.WITHOUT_OBJECT, phorest_id="client 1", ghl_id="contact 1")
    drifted = Finding(entity_type="client", kind=Kind.DRIFTED, phorest_id="client 2", act=Act.HEALED)
    part = EntityAudit(entity_type="client", local=2, there=1, findings=(gone,), reason=None, details={}, duration_ms=1)
    done = Audited(batch_id="an audit", found=(gone, drifted), left=(gone,), entities=(part,))

    @contextmanager
    def opened(_: Settings) -> Generator[Any]:
        yield SimpleNamespace(audit=lambda **_: SimpleNamespace(run=lambda *, mending: done if mending else None))

    monkeypatch.setattr(command, "open_runtime", opened)
    assert command.audit(Settings(), Out(as_json=True), mending=True) is Exit.NEEDS_A_PERSON
    told = orjson.loads(capsys.readouterr().out)
    assert (told["ok"], told["healed"], told["found"]) == (False, 1, {Kind.WITHOUT_OBJECT: 1, Kind.DRIFTED: 1})
    assert told["entities"]["client"] == {"local": 2, "ghl": 1, "match": False, "discrepancy": 1, "not_checked": None}
    (left,) = told["left"]
    assert left["ghl_id"] == "contact 1"
    assert "not made again by itself" in left["advice"]
