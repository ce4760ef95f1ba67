"""Calendars and the appointments in them (facts/ghl-api §11, §12): list, read, create, update.

Belongs here: these calls, what they answer and send. Does not: when a client is told (`sync.events`). There is no delete:
a future event is cancelled, never removed (safety S3).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import structlog
from pydantic import AliasChoices, Field, ValidationError, field_validator

from phorest_ghl.ghl import answers
from phorest_ghl.ghl.client import GhlClient, GhlReader
from phorest_ghl.ghl.models import Answered
from phorest_ghl.http.answer import Answer
from phorest_ghl.http.budget import Lane

_log = structlog.get_logger(__name__)
_EVENTS = "/calendars/events"
_ONE = "/calendars/events/appointments/{eventId}"
_WRAPPERS = ("event", "appointment")
"""The member that a read by id answers in; one repository reads the other one (§16)."""


class Calendar(Answered):
    """A calendar: its team is whom appointments may be assigned to (§12)."""

    id: str
    name: str | None = None
    team: frozenset[str] = Field(default=frozenset(), alias="teamMembers")

    @field_validator("team", mode="before")
    @classmethod
    def _members(cls, value: object) -> object:
        rows = cast("list[object]", value) if isinstance(value, list) else []
        found = (cast("dict[str, object]", row).get("userId") for row in rows if isinstance(row, dict))
        return frozenset(str(user) for user in found if user)


class Event(Answered):
    """An appointment, from any of the calls that answer one; times are aware.

    `date_added` and `created_by` are in answers to get and list, not in those to a dated write (§11.2).
    """

    id: str
    calendar_id: str | None = Field(default=None, alias="calendarId")
    contact_id: str | None = Field(default=None, alias="contactId")
    title: str | None = None
    description: str | None = Field(default=None, validation_alias=AliasChoices("description", "notes"))
    status: str | None = Field(default=None, alias="appointmentStatus")
    user_id: str | None = Field(default=None, alias="assignedUserId")
    starts_at: datetime | None = Field(default=None, alias="startTime")
    ends_at: datetime | None = Field(default=None, alias="endTime")
    date_added: datetime | None = Field(default=None, alias="dateAdded")
    created_by: dict[str, Any] | None = Field(default=None, alias="createdBy")
    deleted: bool = False

    @field_validator("starts_at", "ends_at", "date_added", mode="before")
    @classmethod
    def _instant(cls, value: object) -> object:
        """A time without an offset says nothing of when it is: unknown (§11.3)."""
        if not isinstance(value, str):
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return moment if moment.tzinfo is not None else None


@dataclass(frozen=True, kw_only=True)
class EventWrite:
    """What a create or an update sends. A member that is None is not sent: GHL keeps what it has.

    `notify` is always sent, for without it GHL writes to people (safety S2); times are aware.
    """

    notify: bool
    calendar_id: str | None = None
    contact_id: str | None = None
    title: str | None = None
    description: str | None = None
    status: str | None = None
    user_id: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def body(self, *, location_id: str | None = None) -> dict[str, Any]:
        """The request body; `location_id` for a create, where it is required, and never for an update (422).

        Slot checks are skipped: the salon's diary decides, not the calendar's opening hours (§11.3).
        """
        body: dict[str, Any] = {
            "locationId": location_id,
            "calendarId": self.calendar_id,
            "contactId": self.contact_id,
            "title": self.title,
            "description": self.description,
            "appointmentStatus": self.status,
            "assignedUserId": self.user_id,
            "startTime": None if self.starts_at is None else self.starts_at.isoformat(timespec="seconds"),
            "endTime": None if self.ends_at is None else self.ends_at.isoformat(timespec="seconds"),
            "ignoreDateRange": True,
            "ignoreFreeSlotValidation": True,
            "toNotify": self.notify,
        }
        return {name: value for name, value in body.items() if value is not None}


@dataclass(frozen=True)
class EventAnswer:
    """A write that GHL answered: the event as it now stands there, and GHL's clock (None if it did not say)."""

    event: Event
    date: datetime | None


class CalendarReader(GhlReader):
    """Reads of a location's calendars."""

    def calendars(self, *, lane: Lane = Lane.APPOINTMENTS) -> list[Calendar]:
        """The location's calendars, drafts among them; not paged (`get-calendars`). Raises ApiError."""
        params = {"locationId": self.location_id}
        answer = self._send("GET", "/calendars/", "calendars", params=params, lane=lane)
        listed = answers.member(answer, "calendars")
        if not isinstance(listed, list):
            raise answers.odd(answer, "but its calendars are no list", wrote=False)
        try:
            return [Calendar.model_validate(value) for value in cast("list[object]", listed)]
        except ValidationError:
            raise answers.odd(answer, "but a calendar of it is odd", wrote=False) from None

    def events(
        self, calendar_id: str, start: datetime, end: datetime, *, lane: Lane = Lane.APPOINTMENTS
    ) -> list[Event]:
        """The appointments of a calendar that start in a window (aware, both ends in); not paged (`get-calendar-events`).

        Raises ApiError: PROTOCOL where an entry is odd, for an event that is left out might be made a second time.
        """
        params = {
            "locationId": self.location_id,
            "calendarId": calendar_id,
            "startTime": _milliseconds(start),
            "endTime": _milliseconds(end),
        }
        answer = self._send("GET", _EVENTS, "calendars", params=params, lane=lane)
        listed = answers.member(answer, "events")
        if not isinstance(listed, list):
            raise answers.odd(answer, "but its events are no list", wrote=False)
        return [_event(answer, value, wrote=False) for value in cast("list[object]", listed)]

    def event(self, event_id: str, *, lane: Lane = Lane.APPOINTMENTS) -> Event:
        """An appointment by id (`get-appointment`). An ApiError of category GONE where it no longer exists."""
        answer = self._send("GET", _ONE, "calendars", lane=lane, eventId=event_id)
        body = answer.json()
        members = cast("dict[str, object]", body) if isinstance(body, dict) else {}
        wrapped = next((members[name] for name in _WRAPPERS if isinstance(members.get(name), dict)), members)
        return _event(answer, wrapped, wrote=False)


class CalendarClient(CalendarReader, GhlClient):
    """Reads and writes of a location, its calendars included. Only apply holds one."""

    def create_event(self, write: EventWrite, *, lane: Lane = Lane.APPOINTMENTS, bulk: bool = False) -> EventAnswer:
        """Create an appointment (`create-appointment`). Never repeated blindly, for GHL makes it twice (§11.3).

        Raises ApiError: UNKNOWN_OUTCOME where no answer came, or one without an id.
        """
        body = write.body(location_id=self.location_id)
        answer = self._send("POST", "/calendars/events/appointments", "calendars", json=body, lane=lane, bulk=bulk)
        return EventAnswer(_event(answer, answer.json(), wrote=True), answer.date)

    def update_event(
        self,
        event_id: str,
        write: EventWrite,
        *,
        lane: Lane = Lane.APPOINTMENTS,
        still: Callable[[], bool] | None = None,
    ) -> EventAnswer:
        """Change the named members of an appointment, the others stay (`edit-appointment`).

        One that notifies is not repeated by itself: whether GHL writes twice for the same content is not documented, so an
        answer that is lost is an UNKNOWN_OUTCOME.
        """
        answer = self._send(
            "PUT",
            _ONE,
            "calendars",
            json=write.body(),
            lane=lane,
            repeatable=not write.notify,
            still=still,
            eventId=event_id,
        )
        body = answer.json()
        members = cast("dict[str, object]", body) if isinstance(body, dict) else {}
        wrapped = next((members[name] for name in _WRAPPERS if isinstance(members.get(name), dict)), members)
        return EventAnswer(_event(answer, wrapped, wrote=write.notify), answer.date)


def _milliseconds(moment: datetime) -> str:
    """Epoch milliseconds as text, as the list takes them (§11.4)."""
    return str(round(moment.astimezone(UTC).timestamp() * 1_000))


def _event(answer: Answer, value: object, *, wrote: bool) -> Event:
    """An event, read without those of its members that are odd; without an id it is none."""
    try:
        return Event.model_validate(value)
    except ValidationError as error:
        odd = {str(one["loc"][0]) for one in error.errors() if one["loc"]}
    if not isinstance(value, dict) or "id" in odd or "id" not in value:
        raise answers.odd(answer, "but an event of it has no id", wrote=wrote)
    members = cast("dict[str, object]", value)
    _log.warning("odd_members_of_an_event", ghl_id=str(members["id"])[:64], members=sorted(odd))
    return Event.model_validate({name: held for name, held in members.items() if name not in odd})
