"""`doctor`: one line a check, and what to do about each that is not green.

Belongs here: showing a checkup and its exit code. Does not: any check (`phorest_ghl.doctor`).
"""

from typing import Any

from rich.markup import escape

from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.doctor.checkup import Checkup, State
from phorest_ghl.doctor.examine import examine

_COLOUR = {State.GREEN: "green", State.YELLOW: "yellow", State.RED: "red"}


def doctor(out: Out) -> Exit:
    """Check everything that can be checked; 1 if something is red, 3 if a side could not be reached."""
    with out.text.status("Checking this installation, Phorest and GoHighLevel …"):
        checkup = examine()
    show(checkup, out)
    out.result(document(checkup))
    if checkup.unreachable:
        return Exit.UNREACHABLE
    return Exit.WELL if checkup.ok else Exit.NEEDS_A_PERSON


def document(checkup: Checkup) -> dict[str, Any]:
    """A checkup as JSON."""
    return {
        "ok": checkup.ok,
        "checks": [
            {
                "name": check.name,
                "state": check.finding.state.value,
                "found": check.finding.found,
                "advice": check.finding.advice,
            }
            for check in checkup.checks
        ],
    }


def show(checkup: Checkup, out: Out) -> None:
    """A line a check: state, name, what was found; below it what to do."""
    width = max(len(check.name) for check in checkup.checks)
    for check in checkup.checks:
        state, finding = check.finding.state, check.finding
        head = f"[{_COLOUR[state]}]{state.value:6}[/]  {escape(check.name):{width}}  {escape(finding.found)}"
        out.text.print(head, soft_wrap=True)
        if finding.advice:
            out.text.print(f"{'':6}  → {escape(finding.advice)}", soft_wrap=True)
    counts = {state: sum(check.finding.state is state for check in checkup.checks) for state in State}
    out.say(", ".join(f"{count} {state.value}" for state, count in counts.items()) + ".")
