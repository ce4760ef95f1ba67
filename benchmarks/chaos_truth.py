"""What came of a round of `bench chaos`, judged by the sandbox's own truth.

Belongs here: what is missing, twice or wrong on GHL's side, and who was told what. Does not: what happened before.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from phorest_ghl.commands.demo_diary import judge_diary
from phorest_ghl.commands.demo_truth import holders, judge

Row = Mapping[str, Any]
NOTED_DAYS = 7
_HAPPENED = frozenset({"CHECKED_IN", "PAID"})


class Truthful(Protocol):
    """A sandbox, in a thread or in a process."""

    def truth(self, path: str) -> list[dict[str, Any]]:
        """Rows of its truth."""
        ...

    def control(self, method: str, path: str, json: object = None) -> Any:
        """One call of its control surface."""
        ...


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Everything that must be zero.

    Attributes:
        missing: clients without a contact, appointments without an event, visits without a note.
        duplicates: clients and staff on more contacts than one, events too many, notes of one visit.
        wrong: contacts nobody asked for, values overwritten, channels open that somebody closed.
        texts: messages to somebody to whom nothing happened, and the same one twice.
        plans: changes that the next plan would make.
        unsettled: creates of which nobody knows whether they happened.
    """

    missing: int = 0
    duplicates: int = 0
    wrong: int = 0
    texts: int = 0
    plans: int = 0
    unsettled: int = 0

    @property
    def holds(self) -> bool:
        """Whether nothing is lost and nothing is there twice."""
        return not any(asdict(self).values())


def judged(sandbox: Truthful, concerned: Collection[str], *, plans: int, unsettled: int) -> Verdict:
    """Compare both sides. `concerned` are the clients to whom something happened since the location went live."""
    kinds = ("clients", "appointments", "branches")
    phorest = {kind: sandbox.truth(f"phorest/{kind}") for kind in kinds}
    contacts, events = sandbox.truth("ghl/contacts"), sandbox.truth("ghl/events")
    now = datetime.fromisoformat(sandbox.control("GET", "/clock")["now"])
    people = judge(phorest["clients"], contacts)
    today = now.astimezone(ZoneInfo(phorest["branches"][0]["timeZone"])).date()
    diary = judge_diary(
        [
            row for row in phorest["appointments"] if row.get("activationState") != "RESERVED"
        ],  # held, and not booked yet
        [event for event in events if event["kind"] == "appointment"],
        phorest["clients"],
        contacts,
        phorest["branches"],
        today,
    )
    noted = _notes(sandbox)
    due = _visits(phorest["appointments"], phorest["clients"], contacts, now)
    # A stylist's own number is no client's, so their contact is asked for by nobody of the clients.
    staff = [tag for contact in contacts for tag in contact["tags"] if tag.startswith("phorest-staff-id:")]
    of_staff = sum("role:staff" in contact["tags"] and not contact["customFields"] for contact in contacts)
    return Verdict(
        missing=people.missing + diary.missing + len(due - noted.keys()),
        duplicates=people.twice + diary.extra + _again(noted) + _again(Counter(staff)),
        wrong=max(0, people.unasked - of_staff) + people.overwritten + people.loosened + people.reachable,
        texts=_texts(sandbox, phorest["clients"], contacts, concerned),
        plans=plans,
        unsettled=unsettled,
    )


def _notes(sandbox: Truthful) -> Counter[str]:
    return Counter(note["body"].rpartition("phorest:")[2] for note in sandbox.truth("ghl/notes"))


def _again(found: Counter[str]) -> int:
    return sum(times - 1 for times in found.values())


def _visits(appointments: Sequence[Row], clients: Sequence[Row], contacts: Sequence[Row], now: datetime) -> set[str]:
    """Visits of these days that happened, of clients who are on a contact; a day less than the product looks back."""
    household = {row["clientId"]: row["truth"]["household"] for row in clients if row["truth"]["syncable"]}
    placed = {key for key, ids in holders(contacts, household).items() if len(ids) == 1}
    since = (now - timedelta(days=NOTED_DAYS - 1)).date().isoformat()
    return {
        row["appointmentId"]
        for row in appointments
        if row.get("state") in _HAPPENED
        and row.get("activationState") == "ACTIVE"
        and not row["deleted"]
        and since <= row["appointmentDate"] <= (now - timedelta(days=1)).date().isoformat()
        and household.get(row.get("clientId") or "") in placed
    }


def _texts(sandbox: Truthful, clients: Sequence[Row], contacts: Sequence[Row], concerned: Collection[str]) -> int:
    """Messages about appointments to those whom nothing concerned, and each that was sent once more than it should be."""
    told = [row for row in sandbox.truth("automations") if row["sent"] and row["trigger"] == "appointment"]
    household = {row["clientId"]: row["truth"]["household"] for row in clients}
    at = holders(contacts, household)
    theirs = {contact for client in concerned for contact in at.get(household.get(client, ""), ())}
    strangers = sum(row["contact"] not in theirs for row in told)
    created = Counter(
        str((row["contact"], row["channel"], row["workflow"], row["detail"]))
        for row in told
        if row["detail"].startswith("created")
    )
    return strangers + _again(created)
