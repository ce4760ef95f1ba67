"""What each error that a user can meet takes before a repeat does better, said once for the command line and for Dagster.

Belongs here: which error is of which kind. Does not: exit codes (`commands.console`), retries (`defs.failures`), sentences.
"""

from enum import Enum, auto

from sqlalchemy.exc import OperationalError

from phorest_ghl.db.engine import DatabaseUnreachable, DatabaseUrlError, RecordBusy
from phorest_ghl.db.keyed import KeyMismatch
from phorest_ghl.db.pauses import Paused
from phorest_ghl.db.run_lock import LocationBusy
from phorest_ghl.db.sealing import UnusableSecretKey
from phorest_ghl.explain.client import NotKnown
from phorest_ghl.ghl.callback import CallbackFailed
from phorest_ghl.http.budget_postgres import BudgetUnavailableError
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.phorest.branches import UnknownBranch, UnknownZone
from phorest_ghl.phorest.exports import ExportFailed
from phorest_ghl.phorest.pages import MalformedPage
from phorest_ghl.phorest.scopes import UnknownMonth
from phorest_ghl.settings import SettingsError
from phorest_ghl.sync.clients import NotConfirmed, NotImported
from phorest_ghl.sync.consent import ConsentNotHonoured
from phorest_ghl.sync.events.appointments import CalendarNotUsable
from phorest_ghl.sync.going_live import NotReady
from phorest_ghl.sync.plan_file import PlanNotUsable, StalePlan
from phorest_ghl.sync.registry import ForeignField
from phorest_ghl.sync.stops.gate import ApplyStopped


class Cure(Enum):
    """What has to happen first."""

    SETUP = auto()
    """A setting or a credential is put right."""
    PERSON = auto()
    """A person decides something, here or on either side."""
    REPEAT = auto()
    """Nothing: the other side was there and did badly, or somebody was at work. Who repeats it soon may have more luck."""
    RETURN = auto()
    """The other side, or the database, comes back."""
    TOMORROW = auto()
    """The day's requests are used up."""


_API = {
    **dict.fromkeys((Category.AUTH, Category.SCOPE, Category.FORBIDDEN, Category.WRONG_REGION), Cure.SETUP),
    Category.GONE: Cure.SETUP,  # where it ends a run, the business or the location is what is not there
    **dict.fromkeys((Category.UNREACHABLE, Category.TRANSIENT, Category.RATE_LIMITED), Cure.RETURN),
    Category.QUOTA_EXHAUSTED: Cure.TOMORROW,
    Category.PROTOCOL: Cure.REPEAT,
}
_OURS: dict[type[Exception], Cure] = {
    **dict.fromkeys(
        (
            SettingsError,
            DatabaseUrlError,
            KeyMismatch,
            UnusableSecretKey,
            UnknownBranch,
            UnknownMonth,
            CalendarNotUsable,
            NotKnown,
            PlanNotUsable,
        ),
        Cure.SETUP,
    ),
    **dict.fromkeys(
        (
            CallbackFailed,
            NotConfirmed,
            NotImported,
            NotReady,
            ApplyStopped,
            ConsentNotHonoured,
            ForeignField,
            UnknownZone,
            StalePlan,
            Paused,
        ),
        Cure.PERSON,
    ),
    **dict.fromkeys((MalformedPage, ExportFailed, LocationBusy, RecordBusy), Cure.REPEAT),
    **dict.fromkeys((DatabaseUnreachable, BudgetUnavailableError, OperationalError), Cure.RETURN),
}

_DISK_FULL = "53100"
"""PostgreSQL's SQLSTATE `disk_full`; the connection lives on, and starting the server again would not help."""

MET = (ApiError, *_OURS)
"""The errors that a user can meet; any other one is a defect, and keeps its traceback."""


def cure_of(error: Exception) -> Cure:
    """What cures one of the errors in `MET`; a person, where the other side refused for any other reason."""
    if isinstance(error, ApiError):
        return _API.get(error.category, Cure.PERSON)
    return next((cure for kind, cure in _OURS.items() if isinstance(error, kind)), Cure.PERSON)


def sentence(error: Exception) -> str:
    """What a user reads: the error's own sentence, or one for PostgreSQL's, which brings its statement along."""
    if isinstance(error, OperationalError):
        reason = str(error.orig).strip().splitlines()[0] if error.orig else "no reason given"
        if getattr(error.orig, "sqlstate", None) == _DISK_FULL:
            return (
                f"The disk of PostgreSQL is full ({reason}). Make room there, then repeat the command; nothing is lost."
            )
        return f"PostgreSQL ended the connection ({reason}). Start it again, then repeat the command."
    return str(error)
