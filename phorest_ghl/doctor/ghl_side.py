"""What GoHighLevel says: token, scopes, duplicate settings, zone, our custom fields, workflows, its clock.

Belongs here: checks that ask GHL, each by a read that changes nothing. Does not: how the answers are listed (`checkup`).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Engine

from phorest_ghl.db.oauth_tokens import TokenStore
from phorest_ghl.doctor.checkup import AWAY, Checkup, Finding, State, green, red, yellow
from phorest_ghl.doctor.clocks import skew
from phorest_ghl.ghl.client import GhlReader
from phorest_ghl.ghl.credentials import NotAuthorized
from phorest_ghl.ghl.fields import GUARD_TAG, CustomFieldSpec
from phorest_ghl.ghl.models import Location
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.sync.registry import Standing, standings

CREDENTIALS, TOKEN, DUPLICATES, ZONE, FIELDS, WORKFLOWS, CLOCK, WRITES = (
    "GHL credentials",
    "GHL token",
    "GHL duplicate settings",
    "GHL time zone",
    "GHL custom fields",
    "GHL workflows",
    "GHL clock",
    "GHL write scopes",
)
_LOCATION, _CONTACTS, _FIELDS, _WORKFLOWS = (
    "locations.readonly",
    "contacts.readonly",
    "locations/customFields.readonly",
    "workflows.readonly",
)
_WRITE_SCOPES = ("contacts.write", "locations/customFields.write")
NAMES = (
    CREDENTIALS,
    TOKEN,
    *(f"GHL scope {scope}" for scope in (_LOCATION, _CONTACTS, _FIELDS, _WORKFLOWS)),
    WRITES,
    DUPLICATES,
    ZONE,
    CLOCK,
    FIELDS,
    WORKFLOWS,
)
_NOBODY = "nobody@phorest-ghl.invalid"
_SCOPES_AT = (
    "in GHL, Settings, Private Integrations, edit the integration's scopes; the token stays the same. For an app, run "
    "`phorest-ghl auth` again"
)

_REFUSED = {
    Category.AUTH: (
        "GHL does not accept this token",
        "It was revoked or mistyped: make one in GHL (Settings, Private Integrations) and put it into GHL_PRIVATE_TOKEN.",
    ),
    Category.FORBIDDEN: (
        "the token is good, and belongs to another location or to an agency",
        "Set GHL_LOCATION_ID to the token's own location, or make a token in this location.",
    ),
    Category.GONE: (
        "GHL knows no such location",
        "Correct GHL_LOCATION_ID: GHL shows it under Settings, Business Profile.",
    ),
}


def examine(
    checkup: Checkup,
    client: GhlReader,
    *,
    zone: ZoneInfo,
    fields: Sequence[CustomFieldSpec],
    quiet: bool,
    engine: Engine | None,
) -> None:
    """Make all checks of GHL but that of the credentials; where the token does not work, the others are listed as not made.

    `zone` is the salon's; `fields` are those that its choices switch on; `quiet` is whether a run would still have to be
    confirmed (safety S1); without `engine` it cannot be told whose a custom field is.
    """
    if checkup.look(TOKEN, lambda: _token(client)).state is State.RED:
        checkup.skip("GHL has to accept the token first", *NAMES[2:])
        return
    location: list[Location] = []
    _scope(checkup, _LOCATION, lambda: location.append(client.location()))
    _scope(checkup, _CONTACTS, lambda: client.duplicate(email=_NOBODY))
    fields_read = _scope(checkup, _FIELDS, client.custom_fields)
    workflows_read = _scope(checkup, _WORKFLOWS, client.workflows, needed=False)
    checkup.look(WRITES, _writes)
    if location:
        checkup.look(DUPLICATES, lambda: _duplicates(location[0]))
        checkup.look(ZONE, lambda: _zone(location[0], zone))
        checkup.look(CLOCK, lambda: _clock(client))
    else:
        checkup.skip("the location could not be read", DUPLICATES, ZONE, CLOCK)
    if fields_read and engine is not None:
        checkup.look(FIELDS, lambda: _fields(engine, client, fields))
    else:
        checkup.skip("the fields could not be read" if not fields_read else "the database knows which are ours", FIELDS)
    if workflows_read:
        checkup.look(WORKFLOWS, lambda: _workflows(client, quiet=quiet))
    else:
        checkup.skip(
            "the workflows could not be read. Before the first run, look through all published ones in GHL", WORKFLOWS
        )


def private() -> Finding:
    """A private integration token holds until somebody rotates it (facts/ghl-api §2.1)."""
    return green("a private integration token, which holds until it is rotated in GHL")


def of_app(store: TokenStore, location_id: str) -> Finding:
    """What an app's tokens are worth, and for how long. Raises UnusableSecretKey."""
    held = store.read(location_id)
    if held is None:
        return red("a marketplace app, which has no token for this location", "Run `phorest-ghl auth`.")
    owner = held if held.refresh is not None or held.company_id is None else store.read(held.company_id)
    if owner is None or owner.refused_at is not None:
        return red(
            "a marketplace app, whose token GHL renews no more", "Run `phorest-ghl auth`, and install the app again."
        )
    until = f"{held.expires_at:%Y-%m-%d %H:%M} UTC" if held.left_s > 0 else "its next use"
    by = "" if owner is held else f" from the agency's ({owner.holder})"
    kept = f"{owner.refresh_expires_at:%Y-%m-%d}" if owner.refresh_expires_at else "an unknown day"
    found = (
        f"a marketplace app's token, which holds until {until} and is renewed{by} by itself, if not later than {kept}"
    )
    if owner.refresh_sent_at is not None:
        return yellow(
            f"{found}; the answer to its last renewal did not arrive",
            f"If it cannot be renewed again, `phorest-ghl auth` is needed by {until}.",
        )
    return green(found)


def _token(client: GhlReader) -> Finding:
    try:
        client.location()
    except NotAuthorized:
        raise
    except ApiError as error:
        if error.category is Category.SCOPE:
            return green("accepted")
        if error.category not in _REFUSED:
            raise
        return red(*_REFUSED[error.category])
    return green(f"accepted, for location {client.location_id}")


def _scope(checkup: Checkup, scope: str, read: Callable[[], object], *, needed: bool = True) -> bool:
    """Try a scope by a read; whether it was answered."""

    def look() -> Finding:
        try:
            read()
        except ApiError as error:
            if error.category in AWAY or (needed and error.category is not Category.SCOPE):
                raise
            if not needed:
                found = "missing" if error.category is Category.SCOPE else "not answered"
                return yellow(
                    f"{found}: published workflows cannot be listed here",
                    f"To have them listed, give the token {scope} ({_SCOPES_AT}); nothing else needs it.",
                )
            return red("missing", f"Give the token {scope}: {_SCOPES_AT}.")
        return green("there")

    return checkup.look(f"GHL scope {scope}", look).found == "there"


def _writes() -> Finding:
    return yellow(
        f"{' and '.join(_WRITE_SCOPES)} cannot be tried without writing",
        "Look in GHL, Settings, Private Integrations, whether the integration has both.",
    )


def _clock(client: GhlReader) -> Finding:
    theirs = client.now()
    if theirs is None:
        return yellow("GHL's answer does not say what time it is")
    return skew("GHL", theirs, datetime.now(UTC))


def _duplicates(location: Location) -> Finding:
    """What follows from the location's settings for who shares a contact, and for a create without an answer (S15)."""
    if location.allows_duplicates is None:
        return yellow(
            "the location does not say whether it allows duplicate contacts",
            "Nothing to do: a create whose answer was lost is looked up before it is repeated, which takes longer.",
        )
    if location.allows_duplicates:
        return yellow(
            "the location allows duplicate contacts, so every client gets a contact of her own, families too",
            "If families should share one, switch it off in GHL (Settings, Business Profile) before the first run.",
        )
    if location.unique_identifiers is None:
        return yellow(
            "duplicates are refused, and the location does not say by which address",
            "Nothing to do: email and phone are taken for it, and a create whose answer was lost is looked up first.",
        )
    missing = sorted({"email", "phone"} - set(location.unique_identifiers))
    if missing:
        return yellow(
            f"duplicates are refused, but not by {' and '.join(missing)}",
            f"Clients who share only that are still grouped. Add {' and '.join(missing)} in GHL (Settings, Business "
            "Profile) so that GHL refuses a second contact itself.",
        )
    return green(f"duplicates are refused by {' and '.join(location.unique_identifiers)}")


def _zone(location: Location, salon: ZoneInfo) -> Finding:
    try:
        theirs = ZoneInfo(location.timezone or "")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return red(
            f"the location's time zone is {location.timezone!r}, which is none that exists",
            "Set it in GHL (Settings, Business Profile) to the salon's.",
        )
    now = datetime.now(UTC)
    if all((moment := now + timedelta(days=15 * n)).astimezone(theirs).utcoffset()
           == moment.astimezone(salon).utcoffset() for n in range(25)):  # fmt: skip
        return green(f"{theirs.key}, as the salon's" if theirs.key == salon.key else f"{theirs.key}, as {salon.key}")
    return red(
        f"the location is in {theirs.key} and SALON_TIMEZONE is {salon.key}",
        "Correct whichever is wrong: GHL, Settings, Business Profile, or SALON_TIMEZONE. Times in messages follow the "
        "location's, runs and quiet hours the salon's.",
    )


def _fields(engine: Engine, client: GhlReader, fields: Sequence[CustomFieldSpec]) -> Finding:
    found = standings(engine, client, fields)
    by_standing = {standing: [spec.label for spec, held in found.items() if held is standing] for standing in Standing}
    if wrong := by_standing[Standing.OTHER_TYPE]:
        return red(
            f"{', '.join(wrong)} exists with another type than ours",
            "Rename or delete it in GHL (Settings, Custom Fields): what it holds would be lost.",
        )
    if foreign := by_standing[Standing.FOREIGN]:
        return red(
            f"{', '.join(foreign)} exists and was not made by this installation",
            "If it is left from an earlier one and may be overwritten, run `phorest-ghl sync clients --adopt-fields` once; "
            "if somebody else uses it, rename it in GHL.",
        )
    if absent := by_standing[Standing.ABSENT]:
        return green(f"{len(absent)} of {len(found)} are not there yet; the first run makes them")
    return green(f"all {len(found)} are there and ours")


def _workflows(client: GhlReader, *, quiet: bool) -> Finding:
    published = [workflow for workflow in client.workflows() if workflow.published]
    if not published:
        return green("none is published")
    listed = "; ".join(f"{workflow.name or 'without a name'} ({workflow.id})" for workflow in published)
    if not quiet:
        return green(f"{len(published)} published; the location's are confirmed")
    return yellow(
        f"{len(published)} published: {listed}",
        "Pause those that start on a new contact, a tag, a changed field, DND or a note, or let them exclude contacts "
        f"tagged {GUARD_TAG}. Then confirm it, once: `phorest-ghl sync clients --workflows-paused`.",
    )
