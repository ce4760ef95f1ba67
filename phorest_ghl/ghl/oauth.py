"""GHL's OAuth endpoints: the page where an app is installed, codes and refresh tokens for pairs, an agency's for a location's.

Belongs here: what is sent and how an answer reads (facts/ghl-api §2.2). Does not: keeping tokens (`db.oauth_tokens`), when
one is renewed (`credentials`), the browser (`commands.auth`).

No PKCE: the vendor documents none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol
from urllib.parse import urlencode, urlsplit, urlunsplit

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from phorest_ghl.ghl.scopes import WANTED
from phorest_ghl.ghl.versions import ApiVersion
from phorest_ghl.http.answer import Answer, member
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.http.session import ApiSession

TOKEN = "POST /oauth/token"  # noqa: S105 - a route
EXCHANGE = "POST /oauth/locationToken"
REFRESH_LASTS_S = 365 * 86_400.0
"""Seconds for which an unused refresh token holds (§2.2)."""

_CAMEL = {
    "client_id": "clientId",
    "client_secret": "clientSecret",
    "grant_type": "grantType",
    "refresh_token": "refreshToken",
    "user_type": "userType",
    "redirect_uri": "redirectUri",
}


@dataclass(frozen=True)
class App:
    """A marketplace app's credentials."""

    client_id: str
    client_secret: SecretStr


class Grant(BaseModel):
    """What the token endpoints answer, under either generation; `expires_in` is seconds."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    access_token: SecretStr = Field(validation_alias=AliasChoices("access_token", "accessToken"), min_length=1)
    refresh_token: SecretStr | None = Field(None, validation_alias=AliasChoices("refresh_token", "refreshToken"))
    expires_in: float = Field(validation_alias=AliasChoices("expires_in", "expiresIn"), gt=0)
    scope: str = ""
    user_type: str | None = Field(None, validation_alias=AliasChoices("userType", "user_type"))
    company_id: str | None = Field(None, validation_alias=AliasChoices("companyId", "company_id"))
    location_id: str | None = Field(None, validation_alias=AliasChoices("locationId", "location_id"))


class GrantRefused(ApiError):
    """The vendor does not take this code or refresh token: it was spent, revoked, or is too old."""


class Granting(Protocol):
    """Whoever gives tokens."""

    def refreshed(self, refresh: SecretStr, user_type: str) -> Grant:
        """A new pair for a refresh token."""
        ...

    def for_location(self, agency: SecretStr, company_id: str, location_id: str) -> Grant:
        """A location's token for an agency's."""
        ...

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        ...


class OAuthApi:
    """The token endpoints. `session` sends without credentials of its own. Every method raises ApiError, free of secrets."""

    def __init__(self, session: ApiSession, app: App, version: ApiVersion = ApiVersion()) -> None:  # noqa: B008 - frozen
        self._session = session
        self._app = app
        self._version = version

    @property
    def requests(self) -> int:
        """Requests sent so far, repeats included."""
        return self._session.requests

    def bought(self, code: SecretStr, redirect_uri: str) -> Grant:
        """The first pair, for the code that came back from the page. A code works once, so this is never repeated."""
        form = {"grant_type": "authorization_code", "code": code.get_secret_value(), "redirect_uri": redirect_uri}
        return self._token({**form, "user_type": "Location"}, repeatable=False)

    def refreshed(self, refresh: SecretStr, user_type: str) -> Grant:
        """A new pair, after which the old refresh token is dead (§2.2).

        Sent again where no answer came: a request that never arrived has spent nothing, and of one that did the answer is
        lost either way.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh.get_secret_value(), "user_type": user_type}
        return self._token(form, repeatable=True)

    def for_location(self, agency: SecretStr, company_id: str, location_id: str) -> Grant:
        """A location's token for an agency's; it spends nothing, so it is asked for anew whenever one is needed (§2.2)."""
        path = "/oauth/location-token" if self._version.generation == "v3" else "/oauth/locationToken"
        headers = {"Authorization": f"Bearer {agency.get_secret_value()}"}
        return self._granted(
            EXCHANGE, path, {"companyId": company_id, "locationId": location_id}, repeatable=True, headers=headers
        )

    def _token(self, form: Mapping[str, str], *, repeatable: bool) -> Grant:
        full = {**form, "client_id": self._app.client_id, "client_secret": self._app.client_secret.get_secret_value()}
        if self._version.generation == "v3":
            full = {_CAMEL.get(name, name): value for name, value in full.items()}
        return self._granted(TOKEN, "/oauth/token", full, repeatable=repeatable, headers={})

    def _granted(
        self, operation: str, path: str, form: Mapping[str, str], *, repeatable: bool, headers: Mapping[str, str]
    ) -> Grant:
        try:
            answer = self._session.send(
                "POST",
                path,
                operation=operation,
                form=form,
                headers={**self._version.header("oauth"), **headers},
                repeatable=repeatable,
            )
        except ApiError as error:
            raise _told(error) from None
        return _grant(answer)


def _grant(answer: Answer) -> Grant:
    try:
        return Grant.model_validate(answer.json())
    except ValidationError as error:
        names = sorted({str(detail["loc"][0]) for detail in error.errors(include_input=False) if detail["loc"]})
        _unreadable(answer, ", ".join(names) or "everything")


def _told(error: ApiError) -> ApiError:
    """The refusal without the vendor's own words, which may repeat what they were sent."""
    about_app = member(error.body, "error") == "invalid_client" or "client" in error.vendor_message.lower()
    error.vendor_message, error.body = "", None
    if error.category is not Category.AUTH or error.operation != TOKEN:
        return error
    if about_app:
        error.reason = "the app's client id or secret is not accepted"
        error.advice = "correct GHL_CLIENT_ID and GHL_CLIENT_SECRET, then run again"
        return error
    return GrantRefused(
        error.category, api=error.api, operation=error.operation, status=error.status, trace_id=error.trace_id
    )


def _unreadable(answer: Answer, missing: str) -> NoReturn:
    raise ApiError(
        Category.PROTOCOL,
        api="ghl",
        operation=answer.operation,
        status=answer.status,
        trace_id=answer.trace_id,
        reason=f"but the answer lacks {missing}",
    ) from None


def authorize_url(page: str, app: App, redirect_uri: str, state: str, scopes: Sequence[str] = WANTED) -> str:
    """Where a person installs the app, and from where the browser comes back with a code and with `state`."""
    parts = urlsplit(page)
    asked = {
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "client_id": app.client_id,
        "scope": " ".join(scopes),
        "state": state,
    }
    query = "&".join(part for part in (parts.query, urlencode(asked)) if part)
    return urlunsplit(parts._replace(query=query))
