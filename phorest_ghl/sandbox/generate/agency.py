"""What an agency already has in the salon's GHL location: custom fields, tags, and contacts made by hand.

Belongs here: contacts that agree with the salon's clients in some ways and not in others, and what the generator knows of
each by construction. Does not belong here: `--crm-contacts`, the plainer mix of `crm.py`; what a sync writes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from phorest_ghl.sandbox.clock import exact_instant
from phorest_ghl.sandbox.generate import people
from phorest_ghl.sandbox.generate.clients import Draft
from phorest_ghl.sandbox.ids import ghl_id
from phorest_ghl.sandbox.store import Row

_TURNS = (
    "same person", "unrelated", "same person", "other name", "same person", "unrelated", "relative", "same person",
    "twice", "same person", "unrelated", "family", "same person", "staff", "unrelated", "same person", "two clients",
    "other name", "same person", "unrelated",
)  # fmt: skip
_FIELDS = (
    ("Favourite Drink", "TEXT", ("tea", "flat white", "water")),
    ("Skin Type", "SINGLE_OPTIONS", ("dry", "oily", "mixed")),
    ("Last Survey", "DATE", ("2026-03-01", "2026-05-17", "2026-06-30")),
)
_TAGS = ("newsletter", "vip", "open day 2025", "do not call", "bridal lead")
_STOP = {"status": "permanent", "message": "STOP"}
_ASKED = {"status": "active", "message": "asked on the phone"}
_OPT_OUTS: tuple[Row, ...] = (
    {"dndSettings": {"SMS": _STOP}},
    {"dndSettings": {"Email": {"status": "active", "message": "unsubscribed"}}},
    {"dndSettings": {"SMS": _ASKED, "Call": _ASKED, "WhatsApp": _ASKED}},
    {"dnd": True},
    {"dndSettings": {"SMS": {"status": "inactive"}, "Email": _ASKED}},
    {"inboundDndSettings": {"all": {"status": "active", "message": "spam"}}},
)


@dataclass(frozen=True, slots=True)
class Agency:
    """Rows by store."""

    fields: list[Row]
    tags: list[Row]
    contacts: list[Row]


class _Clients:
    """Clients that nothing is odd about, each handed out once."""

    def __init__(self, rng: Random, drafts: Sequence[Draft]) -> None:
        plain = [draft for draft in drafts if not draft.traits and (draft.email or draft.phone) and _has_a_name(draft)]
        families = [
            draft
            for draft in drafts
            if "family" in draft.traits and draft.traits <= {"family", "linked"} and draft.phone and _has_a_name(draft)
        ]
        self._left = {False: rng.sample(plain, len(plain)), True: rng.sample(families, len(families))}

    def take(self, number: int, *, both: bool = False, family: bool = False) -> list[Draft]:
        """The next ones, with email and phone if `both`; none when there are not enough."""
        pool = self._left[family]
        found = [draft for draft in pool if not both or (draft.email and draft.phone)][:number]
        if len(found) < number:
            return []
        for draft in found:
            pool.remove(draft)
        return found


def make_agency(
    rng: Random, location: Row, drafts: Sequence[Draft], staff: Iterable[Row], number: int, now: datetime
) -> Agency:
    """`number` contacts of every kind in turn; a kind that the salon has no more clients for gives unrelated ones."""
    if not number:
        return Agency([], [], [])
    fields = [_field(rng, location, place) for place in range(len(_FIELDS))]
    # Staff who are clients too would be a client's contact, which is another kind.
    known = {address for draft in drafts for address in (draft.email, draft.phone) if address}
    team = [
        row
        for row in staff
        if row.get("mobile") and row.get("email") and not row["archived"] and not {row["mobile"], row["email"]} & known
    ]
    maker = _Maker(rng, location, now, _Clients(rng, drafts), team)
    found = [maker.contact("salon number", (), None, {"firstName": "Reception", "phone": location["phone"]})]
    while len(found) < number:
        found += maker.of_kind(_TURNS[(len(found) - 1) % len(_TURNS)]) or [maker.unrelated(len(found))]
    for place, row in enumerate(found[:number]):
        _decorate(rng, row, place, fields)
    tags = [{"id": ghl_id(rng), "name": name, "locationId": location["id"]} for name in _TAGS]
    return Agency(fields, tags, found[:number])


def _has_a_name(draft: Draft) -> bool:
    return all(any(letter.isalpha() for letter in draft.row[name]) for name in ("firstName", "lastName"))


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes contacts of one kind or another."""

    rng: Random
    location: Row
    now: datetime
    clients: _Clients
    team: list[Row]

    def of_kind(self, kind: str) -> list[Row]:
        """The contacts of one turn; none when the salon has nobody left for it."""
        if kind == "unrelated":
            return []
        if kind == "staff":
            return [self._staff(self.team.pop())] if self.team else []
        number, both = (2, True) if kind == "two clients" else (1, kind == "twice")
        found = self.clients.take(number, both=both, family=kind == "family")
        if not found:
            return []
        email, phone = {"email": found[0].email}, {"phone": found[-1].phone}
        if kind in {"other name", "relative"}:
            return [self.contact(kind, found, None, email | phone | _stranger(self.rng, found[0], kind))]
        same = None if kind == "two clients" else found[0]
        addresses = [email, phone] if kind == "twice" else [phone] if kind == "family" else [email | phone]
        return [self.contact(kind, found, same, some | _name(self.rng, found[0])) for some in addresses]

    def unrelated(self, place: int) -> Row:
        """Somebody whom the salon does not know; every third with a phone, from a range no client has."""
        values: Row = {"email": f"somebody{place}@example.org", "lastName": f"Stranger{place}"}
        values["firstName"] = self.rng.choice(people.FIRST)
        if place % 3 == 0:
            values["phone"] = f"+3538756{place:05d}"
        return self.contact("unrelated", (), None, values)

    def _staff(self, row: Row) -> Row:
        names = {name: row[name] for name in ("firstName", "lastName", "email")}
        return self.contact("staff", (), None, names | {"phone": row["mobile"]})

    def contact(self, kind: str, clients: Sequence[Draft], same: Draft | None, values: Row) -> Row:
        """One contact; `agency` says for the truth alone which clients' addresses it has and who of them it is."""
        made = self.now - timedelta(days=self.rng.uniform(30, 900))
        at = exact_instant(made)
        known = {"kind": kind, "clients": [draft.row["clientId"] for draft in clients]}
        return {
            "id": ghl_id(self.rng), "locationId": self.location["id"], "type": "lead", "tags": [], "customFields": {},
            "dnd": False, "dndSettings": {}, "dateAdded": at, "dateUpdated": at,
            "addedMs": int(made.timestamp() * 1_000), "createdBy": "person", "source": "web form",
            **{name: value for name, value in values.items() if value},
            "agency": known | {"is": None if same is None else same.row["clientId"]},
        }  # fmt: skip


def _name(rng: Random, draft: Draft) -> Row:
    """The client's name as another person types it: the same but for spaces and capitals."""
    first, last = (" ".join(draft.row[name].split()) for name in ("firstName", "lastName"))
    change = rng.choice((str, str, str, str.lower, str.upper))
    return {"firstName": change(first), "lastName": change(last)}


def _stranger(rng: Random, draft: Draft, kind: str) -> Row:
    """Another name at the client's address; a relative has the client's last name."""
    first = rng.choice([name for name in people.FIRST if name.casefold() not in draft.row["firstName"].casefold()])
    last = rng.choice([name for name in people.LAST if name.casefold() not in draft.row["lastName"].casefold()])
    return {"firstName": first, "lastName": " ".join(draft.row["lastName"].split()) if kind == "relative" else last}


def _decorate(rng: Random, row: Row, place: int, fields: Sequence[Row]) -> None:
    """What the agency keeps of its own: tags, field values, an address, second emails, opt-outs."""
    row["tags"] = rng.sample(_TAGS, rng.choice((0, 1, 1, 2)))
    if place % 5 < 2:
        row["customFields"] = {
            field["id"]: rng.choice(values) for field, (_, _, values) in zip(fields, _FIELDS, strict=True)
        }
    if place % 4 == 1:
        row |= {"city": "Agency Town", "address1": f"{place} Agency Lane", "dateOfBirth": "1980-02-03"}
    if place % 17 == 4:
        row["additionalEmails"] = [f"second{place}@example.org"]
    if place % 4 == 2:
        wish = _OPT_OUTS[place // 4 % len(_OPT_OUTS)]
        row |= wish
        states: Row = {**wish.get("dndSettings", {}), **({"all": {"status": "active"}} if "dnd" in wish else {})}
        if "inboundDndSettings" in wish:
            states["inbound"] = wish["inboundDndSettings"]["all"]
        row["dndChanged"] = {
            channel: {"status": state["status"], "by": "person", "at": row["dateUpdated"]}
            for channel, state in states.items()
        }


def _field(rng: Random, location: Row, place: int) -> Row:
    name, kind, values = _FIELDS[place]
    return {
        "id": ghl_id(rng), "name": name, "fieldKey": f"contact.{name.lower().replace(' ', '_')}", "placeholder": "",
        "dataType": kind, "position": place, "picklistOptions": list(values) if kind == "SINGLE_OPTIONS" else [],
        "picklistImageOptions": [], "isAllowedCustomOption": False, "isMultiFileAllowed": False, "maxFileLimit": 1,
        "locationId": location["id"], "model": "contact", "createdBy": "person",
    }  # fmt: skip
