"""Clients in the proportions of a real salon.

Belongs here: how many clients have which shape (facts/phorest-api §12 and the seed profile of §13), and what the
generator knows of each by construction. Does not belong here: how an address is spelt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from phorest_ghl.sandbox.clock import phorest_instant
from phorest_ghl.sandbox.generate import people
from phorest_ghl.sandbox.ids import dashed_phorest_id, phorest_id
from phorest_ghl.sandbox.store import Row

# Of 14,806 clients: 2,150 with email, 9,720 with phone, 4,143 with neither, hence 1,207 with both.
_WITH_BOTH, _EMAIL_ONLY, _PHONE_ONLY = 1_207 / 14_806, 943 / 14_806, 8_513 / 14_806
_SMALLEST_WITH_A_CYCLE = 200
_COUNTRY_OF = {"Europe/Dublin": "IE", "America/Toronto": "CA"}
_OPTIONAL = (
    "mobile", "linkedClientMobile", "linkedClientId", "landLine", "email", "birthDate", "gender", "notes",
    "preferredStaffId", "externalId", "photoUrl", "mergedToClientId", "firstVisit", "lastVisit",
    "lastVisitedBranchId", "creditAccount", "address", "clientCategoryIds", "smsMarketingConsent",
    "emailMarketingConsent", "smsReminderConsent", "emailReminderConsent",
)  # fmt: skip


@dataclass(slots=True)
class Draft:
    """One client in the making: the row, and what its addresses mean by construction."""

    row: Row
    country: str
    email: str | None = None
    phone: str | None = None
    traits: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What clients refer to."""

    branches: Sequence[Row]
    staff: Sequence[Row]
    categories: Sequence[Row]
    now: datetime


def make_clients(rng: Random, number: int, around: Surroundings, addresses: people.Addresses) -> list[Draft]:
    """`number` clients and, last, the walk-in record; deterministic for a given `rng` state."""
    drafts = [_person(rng, around) for _ in range(number)]
    drafts[0].row["clientId"] = dashed_phorest_id(rng)
    order = rng.sample(range(number), number)
    _give_addresses(rng, addresses, drafts, order)
    reachable = rng.sample(found := [draft for draft in drafts if draft.phone], len(found))
    families = _make_families(rng, reachable, round(number * 0.03))
    _share_junk(rng, reachable, number)
    _set_flags(rng, rng.sample(drafts, number), number)
    _staff_who_are_clients(rng, drafts, around)
    drafts.append(_walk_in(rng, around))
    for draft in drafts:
        _thin(rng, draft.row)
    _link_families(families)
    if number >= _SMALLEST_WITH_A_CYCLE:
        _merge_in_a_cycle([draft for draft in drafts if draft.phone and not draft.email and not draft.traits])
    return drafts


def country_of(branch: Row) -> str:
    """The country whose numbering a branch's clients use."""
    return _COUNTRY_OF[branch["timeZone"]]


def _person(rng: Random, around: Surroundings) -> Draft:
    branch = rng.choice(around.branches)
    first, last = people.write_name(rng)
    since = around.now - timedelta(days=rng.uniform(1, 2_900))
    touched = since + (around.now - since) * rng.random() ** 0.5
    row: Row = {
        "clientId": phorest_id(rng), "version": rng.randrange(0, 40), "firstName": first, "lastName": last,
        "mobile": None, "linkedClientMobile": None, "linkedClientId": None, "landLine": None, "email": None,
        "address": _address(rng), "birthDate": _birth(rng), "clientSince": phorest_instant(since),
        "gender": rng.choice(("FEMALE", "FEMALE", "FEMALE", "MALE", "UNKNOWN", "NOT_SPECIFIED", None)),
        "notes": _note(rng), "smsMarketingConsent": _consent(rng, 0.55), "emailMarketingConsent": _consent(rng, 0.4),
        "smsReminderConsent": _consent(rng, 0.85), "emailReminderConsent": _consent(rng, 0.6),
        "preferredStaffId": rng.choice(around.staff)["staffId"] if rng.random() < 0.2 else None, "externalId": None,
        "creatingBranchId": branch["branchId"], "archived": False, "banned": False,
        "clientCategoryIds": _categories(rng, around), "createdAt": phorest_instant(since),
        "updatedAt": phorest_instant(touched), "photoUrl": None,
        "creditAccount": {"outstandingBalance": 0.0, "creditDays": 0, "creditLimit": 0.0} if rng.random() < 0.02 else None,
        "loyaltyCard": {"serial": "" if rng.random() < 0.9 else f"L{rng.randrange(10**6):06d}", "points": _points(rng)},
        "mergedToClientId": None, "deleted": False, "firstVisit": None, "lastVisit": None,
        "lastVisitedBranchId": None,
    }  # fmt: skip
    return Draft(row, country_of(branch))


def _consent(rng: Random, share: float) -> bool | None:
    return None if rng.random() < 0.05 else rng.random() < share


def _points(rng: Random) -> float:
    draw = rng.random()
    if draw < 0.8:
        return 0.0
    return -15.0 if draw < 0.801 else round(rng.uniform(5, 2_500) * 2) / 2


def _note(rng: Random) -> str | None:
    notes = ("Prefers mornings", "Sensitive scalp <b>patch test</b>", "Parks at the back\nring the bell")
    return rng.choice(notes) if rng.random() < 0.05 else None


def _address(rng: Random) -> Row | None:
    if rng.random() < 0.6:
        return None
    full = {
        "streetAddress1": f"{rng.randrange(1, 200)} Test Row", "streetAddress2": None,
        "city": rng.choice(("Dublin", "Toronto", "Cork D00 X000")), "state": None, "postalCode": "D00 X000",
        "country": rng.choice(("IE", "Ireland", "CA", "")),
    }  # fmt: skip
    return {key: value for key, value in full.items() if value is not None or rng.random() < 0.5}


def _birth(rng: Random) -> str | None:
    draw = rng.random()
    if draw < 0.7:
        return None
    if draw < 0.72:
        return rng.choice(("1900-01-01", "1901-01-01", "1904-01-01", "2099-05-05", "1996-02-29"))
    return f"{rng.randrange(1940, 2012)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"


def _categories(rng: Random, around: Surroundings) -> list[str] | None:
    if rng.random() < 0.7:
        return None if rng.random() < 0.5 else []
    found = [rng.choice(around.categories)["clientCategoryId"]]
    return [*found, phorest_id(rng)] if rng.random() < 0.02 else found  # an id of a category nobody knows any more


def _give_addresses(rng: Random, addresses: people.Addresses, drafts: list[Draft], order: list[int]) -> None:
    number = len(drafts)
    both, email_only, phone_only = (round(number * share) for share in (_WITH_BOTH, _EMAIL_ONLY, _PHONE_ONLY))
    for place, index in enumerate(order):
        draft = drafts[index]
        if place < both + email_only:
            _write_email(rng, addresses, draft)
        if place < both or both + email_only <= place < both + email_only + phone_only:
            _write_phone(rng, addresses, draft)
    bare = order[both + email_only + phone_only :]
    for index in bare[: round(number * 0.02)]:
        drafts[index].row["landLine"] = addresses.landline(drafts[index].country)
        drafts[index].traits.add("landline only")
    for index in bare[round(number * 0.02) : round(number * 0.03)]:
        parent = drafts[order[both + email_only + rng.randrange(phone_only)]] if phone_only else drafts[index]
        drafts[index].row.update(linkedClientMobile=parent.row["mobile"], linkedClientId=parent.row["clientId"])
        drafts[index].traits.add("linked child")


def _write_email(rng: Random, addresses: people.Addresses, draft: Draft) -> None:
    clean = addresses.email(draft.row["firstName"], draft.row["lastName"])
    written = people.broken_email(rng, clean) if rng.random() < 0.015 else people.write_email(rng, clean)
    draft.row["email"], draft.email = written


def _write_phone(rng: Random, addresses: people.Addresses, draft: Draft) -> None:
    number = addresses.mobile(draft.country)
    written = people.broken_phone(rng, number) if rng.random() < 0.015 else people.write_phone(rng, number)
    draft.row["mobile"], draft.phone = written


def _make_families(rng: Random, reachable: list[Draft], sharers: int) -> list[list[Draft]]:
    """The last drafts of `reachable` share phones in groups of two to four, each in its own spelling."""
    groups: list[list[Draft]] = []
    pool = reachable[len(reachable) - min(sharers, len(reachable) // 2) :]
    while len(pool) >= 2:
        group = [pool.pop() for _ in range(min(rng.choice((2, 2, 3, 4)), len(pool)))]
        for draft in group[1:]:
            written = people.write_phone(rng, group[0].phone or "")
            draft.row["mobile"], draft.phone = written
            draft.country = group[0].country
            draft.row["creatingBranchId"] = group[0].row["creatingBranchId"]
        if rng.random() < 0.6:
            for draft in group[1:]:
                draft.row["lastName"] = group[0].row["lastName"]
        if group[0].email and rng.random() < 0.5:
            group[1].row["email"], group[1].email = people.write_email(rng, group[0].email)
        for draft in group:
            draft.traits.add("family")
        groups.append(group)
    return groups


def _link_families(groups: list[list[Draft]]) -> None:
    """In every second family the desk linked the others to the first, whose number they have typed in as theirs too."""
    for group in groups[::2]:
        for draft in group[1:]:
            draft.row.update(linkedClientId=group[0].row["clientId"], linkedClientMobile=group[0].row["mobile"])
            draft.traits.add("linked")


def _merge_in_a_cycle(plain: list[Draft]) -> None:
    """Two records of one person, each merged into the other."""
    one, two = plain[-2:]
    for loser, winner in ((one, two), (two, one)):
        loser.row.update(mergedToClientId=winner.row["clientId"], archived=True)
        loser.traits |= {"merged", "cycle"}
    for name in ("mobile", "firstName", "lastName", "creatingBranchId"):
        two.row[name] = one.row[name]
    two.phone, two.country = one.phone, one.country


def _share_junk(rng: Random, reachable: list[Draft], number: int) -> None:
    """The salon's own number and a placeholder address, on more clients than any family has."""
    plain = [draft for draft in reachable if not draft.traits]
    sharers = max(8, number // 500)
    if len(plain) < 4 * sharers:
        return
    for draft in rng.sample(plain, sharers):
        spelling = ("01 555 0000", "+353 1 555 0000") if draft.country == "IE" else ("416 555 0000", "+14165550000")
        draft.row["mobile"], draft.phone = rng.choice(spelling), None
        draft.traits.add("junk")
    with_email = [draft for draft in plain if draft.email and not draft.traits]
    for draft in with_email[:8] if len(with_email) >= 16 else ():
        draft.row["email"], draft.email = "noemail@example.com", None
        draft.traits.add("junk")


def _set_flags(rng: Random, shuffled: list[Draft], number: int) -> None:
    if number < 20:
        return
    plain = (draft for draft in shuffled if not draft.traits)
    for flag, share in (("archived", 0.02), ("deleted", 0.01), ("banned", 0.01)):
        for _ in range(max(1, round(number * share))):
            draft = next(plain)
            draft.row[flag] = True
            draft.traits.add(flag)
    _merge_some(rng, list(plain), max(2, round(number * 0.01)))


def _merge_some(rng: Random, plain: list[Draft], pairs: int) -> None:
    """Losers take over their winner's name and addresses, so both come from clients of one shape.

    Every fifth winner lost before.
    """
    shapes: dict[tuple[bool, bool], list[Draft]] = {}
    for draft in plain:
        shapes.setdefault((bool(draft.email), bool(draft.phone)), []).append(draft)
    for turn in range(pairs):
        shape = shapes[bool(plain[turn].email), bool(plain[turn].phone)]
        if len(shape) < 3:
            continue
        loser, winner = shape.pop(), shape.pop()
        _merge(rng, loser, winner)
        if turn % 5 == 0:
            _merge(rng, winner, shape.pop())
        elif turn % 7 == 3:
            winner.row["archived"] = True
            winner.traits.add("archived")


def _merge(rng: Random, loser: Draft, winner: Draft) -> None:
    loser.row["mergedToClientId"] = winner.row["clientId"]
    loser.row["archived" if rng.random() < 0.5 else "deleted"] = True
    loser.country, loser.row["creatingBranchId"] = winner.country, winner.row["creatingBranchId"]
    for name in ("mobile", "email", "firstName", "lastName"):
        loser.row[name] = winner.row[name]
    loser.email, loser.phone = winner.email, winner.phone
    loser.traits.add("merged")
    winner.traits.add("winner")


def _staff_who_are_clients(rng: Random, drafts: list[Draft], around: Surroundings) -> None:
    """One employee is a client too; another one's number was typed into a stranger's record."""
    known = [row for row in around.staff if row.get("mobile") and row.get("email")]
    free = [draft for draft in drafts if draft.phone and not draft.traits]
    if len(known) < 2 or len(free) < 10:
        return
    country = {row["branchId"]: country_of(row) for row in around.branches}
    for draft, person, same in zip(rng.sample(free, 2), known[:2], (True, False), strict=True):
        draft.row["mobile"], draft.row["creatingBranchId"] = person["mobile"], person["branchId"]
        draft.country, draft.phone = country[person["branchId"]], person["mobile"] if same else None
        draft.traits.add("staff" if same else "staff number")
        if same:
            draft.row.update(firstName=person["firstName"], lastName=person["lastName"])


def _walk_in(rng: Random, around: Surroundings) -> Draft:
    draft = _person(rng, around)
    draft.row.update(
        smsMarketingConsent=False, emailMarketingConsent=False, smsReminderConsent=False, emailReminderConsent=False
    )
    plain: dict[str, Any] = {
        "firstName": "Walk",
        "lastName": "In",
        "address": None,
        "birthDate": None,
        "notes": None,
        "clientCategoryIds": [],
    }
    draft.row.update(plain)
    draft.traits.add("walk-in")
    return draft


def _thin(rng: Random, row: Row) -> None:
    """Half of what is null is left out instead (facts/phorest-api §13.20)."""
    for name in _OPTIONAL:
        if row[name] is None and rng.random() < 0.5:
            del row[name]
