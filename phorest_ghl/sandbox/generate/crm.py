"""The GHL location before the first sync.

Belongs here: what a salon's agency has set up by hand: location, users, one calendar per branch, contacts. Does not
belong here: what a sync writes.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from phorest_ghl.sandbox.clock import exact_instant
from phorest_ghl.sandbox.generate.clients import Draft
from phorest_ghl.sandbox.ids import ghl_id
from phorest_ghl.sandbox.store import Row

_OPEN = [
    {
        "daysOfTheWeek": [1, 2, 3, 4, 5, 6],
        "hours": [{"openHour": 9, "openMinute": 0, "closeHour": 20, "closeMinute": 0}],
    }
]
_COUNTRY = {"Europe/Dublin": "IE", "America/Toronto": "CA"}


def make_location(rng: Random, branch: Row) -> Row:
    """The location, in the zone and country of the first branch (facts/ghl-api §13).

    `settings` is filled in from the switches.
    """
    return {
        "id": ghl_id(rng), "companyId": ghl_id(rng), "name": "Test Salon", "domain": "",
        "address": branch["streetAddress1"], "city": branch["city"], "state": "", "logoUrl": "",
        "country": _COUNTRY[branch["timeZone"]], "postalCode": "D00 X000", "website": "https://salon.example.com",
        "timezone": branch["timeZone"], "firstName": "Test", "lastName": "Owner", "email": "owner@example.com",
        "phone": "+35315550000", "business": {"name": "Test Salon"}, "social": {}, "reseller": {},
    }  # fmt: skip


def make_users(rng: Random, location: Row, number: int) -> list[Row]:
    """Users of the location; the first is its admin."""
    found: list[Row] = []
    roles: Row = {"type": "account", "locationIds": [location["id"]], "restrictSubAccount": False}
    for turn in range(number):
        first, last = ("Owner", "Test") if turn == 0 else ("User", f"Number{turn}")
        found.append({
            "id": ghl_id(rng), "name": f"{first} {last}", "firstName": first, "lastName": last,
            "email": f"user{turn}@example.com", "phone": "", "extension": "", "permissions": {},
            "scopes": "contacts.write", "deleted": False, "roles": roles | {"role": "admin" if turn == 0 else "user"},
        })  # fmt: skip
    return found


def make_calendars(rng: Random, location: Row, branches: Sequence[Row], users: Sequence[Row]) -> list[Row]:
    """One round-robin calendar per branch, every user a member; the first is the default one."""
    members: list[Row] = [
        {"userId": user["id"], "priority": 0.5, "isPrimary": False, "locationConfigurations": []} for user in users
    ]
    return [
        {
            "id": ghl_id(rng), "locationId": location["id"], "name": branch["name"], "description": "",
            "slug": f"calendar-{turn}",
            "widgetSlug": f"calendar-{turn}", "calendarType": "round_robin", "widgetType": "classic",
            "eventTitle": "{{contact.name}}",
            "eventColor": "#039be5", "eventType": "RoundRobin_OptimizeForAvailability", "teamMembers": members,
            "slotDuration": 30,
            "slotDurationUnit": "mins", "slotInterval": 30, "slotIntervalUnit": "mins", "slotBuffer": 0, "preBuffer": 0,
            "appoinmentPerSlot": 1, "appoinmentPerDay": 0, "allowBookingAfter": 0, "allowBookingAfterUnit": "hours",
            "allowBookingFor": 90, "allowBookingForUnit": "days", "openHours": _OPEN, "autoConfirm": True,
            "isActive": True,
            "allowReschedule": True, "allowCancellation": True, "enableRecurring": False,
        }
        for turn, branch in enumerate(branches)
    ]  # fmt: skip


def make_contacts(rng: Random, location: Row, drafts: Sequence[Draft], number: int, now: datetime) -> list[Row]:
    """Contacts that people made before the first sync.

    Some are clients, some are clients' relatives, some opted out, some strangers.
    """
    reachable = [draft for draft in drafts if (draft.email or draft.phone) and not draft.traits]
    chosen = rng.sample(reachable, min(len(reachable), round(number * 0.7)))
    found: list[Row] = []
    for turn in range(number):
        draft = chosen[turn] if turn < len(chosen) else None
        row = _contact(rng, location, now - timedelta(days=rng.uniform(1, 900)))
        if draft is None:
            row |= {"firstName": "Stranger", "lastName": str(turn), "email": f"stranger{turn}@example.org"}
        else:
            row |= {"email": draft.email, "phone": draft.phone}
            row |= {"firstName": draft.row["firstName"].strip(), "lastName": draft.row["lastName"].strip()}
            if turn % 5 == 1:
                row |= {"firstName": "Somebody", "lastName": "Else"}
            if turn % 5 == 2:
                status = "permanent" if draft.phone else "active"
                channel = "SMS" if draft.phone else "Email"
                row["dndSettings"] = {channel: {"status": status, "message": "STOP"}}
                row["dndChanged"] = {channel: {"status": status, "by": "person", "at": row["dateUpdated"]}}
            if turn % 10 == 3:
                row["additionalEmails"] = [f"second{turn}@example.org"]
        found.append(row)
    return found


def _contact(rng: Random, location: Row, made: datetime) -> Row:
    at = exact_instant(made)
    return {
        "id": ghl_id(rng), "locationId": location["id"], "type": "lead",
        "tags": rng.choice(([], ["newsletter"], ["vip"])), "customFields": {}, "dnd": False, "dndSettings": {},
        "dateAdded": at, "dateUpdated": at, "addedMs": int(made.timestamp() * 1_000), "createdBy": "person",
        "source": "form",
    }  # fmt: skip
