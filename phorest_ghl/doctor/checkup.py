"""What a check says, and the list of what all of them said.

Belongs here: states, the order of looking, what becomes of an error in one check. Does not: any check.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from phorest_ghl.db.engine import DatabaseUnreachable, DatabaseUrlError
from phorest_ghl.db.keyed import KeyMismatch
from phorest_ghl.db.sealing import UnusableSecretKey
from phorest_ghl.http.budget_postgres import BudgetUnavailableError
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.phorest.pages import MalformedPage
from phorest_ghl.settings import SettingsError

AWAY = frozenset({Category.UNREACHABLE, Category.TRANSIENT, Category.RATE_LIMITED, Category.QUOTA_EXHAUSTED})
"""Categories of an error after which the remote side counts as not reached: nothing of ours is wrong."""

_HERE = (SettingsError, DatabaseUrlError, KeyMismatch, UnusableSecretKey)
_DATABASE_AWAY = (DatabaseUnreachable, BudgetUnavailableError)
_ODD_ANSWER = (MalformedPage, ValidationError, KeyError)


class State(StrEnum):
    """Green: well. Yellow: runs, but somebody should know. Red: a run would fail or do harm."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one look showed. `advice` says what to do; sentences without personal values or secrets."""

    state: State
    found: str
    advice: str = ""
    unreachable: bool = False


@dataclass(frozen=True, kw_only=True)
class Check:
    """A finding under the name of its check."""

    name: str
    finding: Finding


def green(found: str) -> Finding:
    """All is well."""
    return Finding(state=State.GREEN, found=found)


def yellow(found: str, advice: str = "") -> Finding:
    """It runs, but somebody should know."""
    return Finding(state=State.YELLOW, found=found, advice=advice)


def red(found: str, advice: str, *, unreachable: bool = False) -> Finding:
    """A run would fail or do harm."""
    return Finding(state=State.RED, found=found, advice=advice, unreachable=unreachable)


@dataclass
class Checkup:
    """All checks so far, in the order in which they were made."""

    checks: list[Check] = field(default_factory=list[Check])

    @property
    def ok(self) -> bool:
        """Whether nothing is red."""
        return all(check.finding.state is not State.RED for check in self.checks)

    @property
    def unreachable(self) -> bool:
        """Whether a remote side or the database could not be reached."""
        return any(check.finding.unreachable for check in self.checks)

    def look(self, name: str, examine: Callable[[], Finding]) -> Finding:
        """Make one check. An error that a user can meet is its finding, so that the next check is made all the same."""
        try:
            finding = examine()
        except ApiError as error:
            finding = _refused(error)
        except _HERE as error:
            finding = red("it cannot be used", str(error).replace("\n", " "))
        except _DATABASE_AWAY as error:
            finding = red("it cannot be reached", str(error), unreachable=True)
        except OperationalError as error:
            reason = str(error.orig).strip().splitlines()[0] if error.orig else "no reason given"
            finding = red(
                f"PostgreSQL ended the connection ({reason})", "Start it again, then repeat.", unreachable=True
            )
        except _ODD_ANSWER as error:
            finding = red(
                f"the answer is not what the vendor documents ({type(error).__name__})", "Check the base URL."
            )
        self.checks.append(Check(name=name, finding=finding))
        return finding

    def skip(self, why: str, *names: str) -> None:
        """Say of checks that they could not be made."""
        self.checks += [Check(name=name, finding=yellow(f"not checked: {why}")) for name in names]


def _refused(error: ApiError) -> Finding:
    found, _, advice = str(error).rpartition("; ")
    return red(found, advice[:1].upper() + advice[1:], unreachable=error.category in AWAY)
