"""Which user of GHL a member of the staff is: a proposal by email and name, for a person to review. Pure.

Belongs here: the proposal. Does not: the file that it is written to (`phorest_ghl.salon_file`), assigning anything.
Nobody is given a user by turns, and nobody by a likeness: who is not found has none.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from phorest_ghl.ghl.users import User
from phorest_ghl.sync import normalise
from phorest_ghl.sync.staff.humans import Human

By = Literal["email", "name", "nothing"]


@dataclass(frozen=True)
class Proposal:
    """A human of the staff, the user that it seems to be (None: nobody is), and by what it was found."""

    human: Human
    user: User | None
    by: By


def propose(staff: Sequence[Human], users: Iterable[User]) -> list[Proposal]:
    """A proposal for each human who still works here.

    By email where exactly one user logs in with one of its addresses; by full name where exactly one user and exactly one
    human has it. A user that two humans would get is nobody's.
    """
    working = [human for human in staff if not human.archived]
    listed = list(users)
    names = Counter(human.name.casefold() for human in working)
    found = [_found(human, listed, names[human.name.casefold()] == 1) for human in working]
    taken = Counter(proposal.user.id for proposal in found if proposal.user is not None)
    return [
        Proposal(proposal.human, None, "nothing")
        if proposal.user is not None and taken[proposal.user.id] > 1
        else proposal
        for proposal in found
    ]


def _found(human: Human, users: Sequence[User], only_one: bool) -> Proposal:  # noqa: FBT001 - whether nobody shares its name
    logged_in = [user for user in users if (normalise.email(user.email) or "") in human.emails]
    if len(logged_in) == 1:
        return Proposal(human, logged_in[0], "email")
    named = [user for user in users if human.name and _name(user) == human.name.casefold()]
    if not logged_in and only_one and len(named) == 1:
        return Proposal(human, named[0], "name")
    return Proposal(human, None, "nothing")


def _name(user: User) -> str:
    return normalise.folded_name(user.first_name, user.last_name) or normalise.folded_name(user.name, None)
