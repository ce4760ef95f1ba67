"""The users of a location (facts/ghl-api §13). They are only read: a user costs a seat, and no sync makes one.

Belongs here: the calls. Does not: which member of the staff a user is.
"""

from pydantic import Field, TypeAdapter

from phorest_ghl.ghl import answers
from phorest_ghl.ghl.client import GhlReader
from phorest_ghl.ghl.models import Answered
from phorest_ghl.http.budget import Lane

SEARCH_LIMIT = 100


class User(Answered):
    """A user. `email` is its login."""

    id: str
    name: str | None = None
    first_name: str | None = Field(default=None, alias="firstName")
    last_name: str | None = Field(default=None, alias="lastName")
    email: str | None = None
    deleted: bool | None = None


_users = TypeAdapter(list[User])


class UsersReader(GhlReader):
    """Reads of a location's users."""

    def users(self, company_id: str | None = None) -> list[User]:
        """The users of the location, deleted ones left out. `company_id` is the location's, which v3 wants to be told.

        The dated generation has a list for a location (`get-user-by-location`), v3 a search alone (`search-users`).
        Raises ApiError.
        """
        if self._version.generation != "v3":
            answer = self._send("GET", "/users/", "users", params={"locationId": self.location_id}, lane=Lane.REST)
            return _there(answers.typed(_users, answer, "users"))
        found: list[User] = []
        while True:
            params = {
                "companyId": company_id or "",
                "locationId": self.location_id,
                "skip": str(len(found)),
                "limit": str(SEARCH_LIMIT),
            }
            answer = self._send("GET", "/users/search", "users", params=params, lane=Lane.REST)
            page = answers.typed(_users, answer, "users")
            found += page
            if len(page) < SEARCH_LIMIT:
                return _there(found)


def _there(users: list[User]) -> list[User]:
    return [user for user in users if not user.deleted]
