"""An error that a user can meet is a sentence on the command line and in Dagster, and both know whether to repeat."""

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from phorest_ghl.commands.console import Exit, run
from phorest_ghl.db.engine import DatabaseUnreachable
from phorest_ghl.db.run_lock import LocationBusy
from phorest_ghl.defs.failures import failures_as_sentences
from phorest_ghl.http.budget_postgres import BudgetUnavailableError
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.phorest.branches import UnknownBranch, UnknownZone
from phorest_ghl.phorest.exports import ExportFailed
from phorest_ghl.phorest.scopes import UnknownMonth
from phorest_ghl.settings import SettingsError
from phorest_ghl.sync.events.appointments import CalendarNotUsable


def refused(category: Category) -> ApiError:
    return ApiError(category, api="phorest", operation="GET /client", status=400)


@pytest.mark.parametrize(
    ("error", "code", "again"),
    [
        (SettingsError("SALON is not usable."), Exit.WRONG_USE, False),
        (UnknownBranch("PHOREST_BRANCH_ID names X."), Exit.WRONG_USE, False),
        (UnknownMonth("2025-13 is no month."), Exit.WRONG_USE, False),
        (CalendarNotUsable("There is no calendar."), Exit.WRONG_USE, False),
        (UnknownZone("Branch X has no zone."), Exit.NEEDS_A_PERSON, False),
        (ExportFailed("The export was not ready."), Exit.NEEDS_A_PERSON, True),
        (LocationBusy("Somebody is at work."), Exit.NEEDS_A_PERSON, True),
        (DatabaseUnreachable("PostgreSQL is away."), Exit.UNREACHABLE, True),
        (BudgetUnavailableError("The budget is away."), Exit.UNREACHABLE, True),
        (OperationalError("select secret", {}, Exception("terminated\nby somebody")), Exit.UNREACHABLE, True),
        (refused(Category.AUTH), Exit.WRONG_USE, False),
        (refused(Category.INVALID), Exit.NEEDS_A_PERSON, False),
        (refused(Category.PROTOCOL), Exit.NEEDS_A_PERSON, True),
        (refused(Category.TRANSIENT), Exit.UNREACHABLE, True),
        (refused(Category.QUOTA_EXHAUSTED), Exit.UNREACHABLE, False),
    ],
    ids=lambda value: getattr(value, "category", type(value).__name__) if isinstance(value, Exception) else str(value),
)
def test_an_error_has_one_meaning_for_the_command_line_and_for_dagster(
    error: Exception, code: Exit, again: bool, capsys: pytest.CaptureFixture[str]  # noqa: FBT001
) -> None:  # fmt: skip
    def command() -> Exit:
        raise error

    assert run(command) is code
    said = capsys.readouterr().err
    with pytest.raises(dg.Failure) as failed, failures_as_sentences():
        raise error
    assert (failed.value.allow_retries, f"{failed.value.description}\n") == (again, said)
    assert "select" not in said


def test_a_defect_keeps_its_traceback() -> None:
    def command() -> Exit:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(command)
    with pytest.raises(ZeroDivisionError), failures_as_sentences():
        raise ZeroDivisionError
