"""What GHL is called with: a private integration token, or a marketplace app's tokens, renewed by one process at a time.

Belongs here: the one source of credentials, and when a token is renewed. Does not: the endpoints (`oauth`), the table
(`db.oauth_tokens`).

A refresh token works once, and no grace is documented for an answer that was lost (facts/ghl-api §2.2). So: one process
refreshes, under a lock of the database; that it is about to is committed before; the new pair is committed before it is
used; and it begins an hour ahead, so that a refresh which goes wrong costs a warning and not a run.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import structlog
from pydantic import SecretStr

from phorest_ghl.db.engine import RecordBusy
from phorest_ghl.db.oauth_tokens import Held, NewTokens, TokenStore
from phorest_ghl.ghl.oauth import REFRESH_LASTS_S, TOKEN, Grant, Granting, GrantRefused
from phorest_ghl.http.errors import ApiError, Category

_log = structlog.get_logger(__name__)

AHEAD_S = 3600.0
"""Seconds before its end at which a token is renewed; a quarter of its life where that is less."""
_TRY_AGAIN_S = 60.0  # after a renewal ahead of time that did not succeed
_WAIT_S = 60.0  # for another process that is renewing, where the old token is worth nothing any more
_HARDLY_S = 0.05  # for the same, where it still is
_OF_THE_TOKEN = re.compile(r"\b(?:jwt|token)\b", re.IGNORECASE)
_BEARER = "Bearer "


class NotAuthorized(ApiError):
    """The app has no tokens, or none that the vendor takes, and only a person can change that."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            Category.AUTH, api="ghl", operation=TOKEN, reason=reason, advice="run `phorest-ghl auth` to authorize it"
        )

    def __str__(self) -> str:
        return f"GoHighLevel cannot be called: {self.reason}; {self.advice}."

    def __reduce__(self) -> tuple[object, ...]:
        return (NotAuthorized, (self.reason,))


class Credentials(Protocol):
    """Makes the headers of every call to GHL."""

    def headers(self) -> dict[str, str]:
        """The headers that carry the token. Raises ApiError where there is none."""
        ...

    def renewed(self, failure: ApiError, refused: Mapping[str, str]) -> bool:
        """Whether there is another token now than the one that was refused. Raises ApiError where there cannot be one."""
        ...


class PrivateToken:
    """A private integration token: it neither ends nor is renewed (§2.1)."""

    def __init__(self, token: str) -> None:
        self._token = SecretStr(token)

    def headers(self) -> dict[str, str]:
        """The headers that carry the token."""
        return _headers(self._token)

    def renewed(self, failure: ApiError, refused: Mapping[str, str]) -> bool:
        """Never: a new one is made by a person."""
        del failure, refused
        return False


class _Known(NamedTuple):
    access: SecretStr
    renew_at: float


class AppTokens:
    """An app's token for one location, shared with every other process through the database.

    May be used by any number of threads. Raises, beside ApiError: UnusableSecretKey, DatabaseUnreachable.
    """

    def __init__(
        self,
        store: TokenStore,
        granting: Granting,
        location_id: str,
        client_id: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._granting = granting
        self._location_id = location_id
        self._client_id = client_id
        self._clock = clock
        self._turn = threading.Lock()
        self._known: _Known | None = None

    def headers(self) -> dict[str, str]:
        """The headers that carry the token, renewed where it is about to end."""
        return _headers(self._lasting() or self._under_turn(self._renew_ahead))

    def renewed(self, failure: ApiError, refused: Mapping[str, str]) -> bool:
        """Whether there is another token now: only a refusal that speaks of the token is about its age (§2.4)."""
        if failure.category is not Category.AUTH or not _OF_THE_TOKEN.search(failure.vendor_message):
            return False
        gone = SecretStr(refused.get("Authorization", "").removeprefix(_BEARER))

        def renew() -> SecretStr:
            known = self._known
            return known.access if known is not None and known.access != gone else self._renew(gone, _WAIT_S)

        self._under_turn(renew)
        return True

    # --- one thread of this process at a time

    def _under_turn(self, work: Callable[[], SecretStr]) -> SecretStr:
        with self._turn:
            return work()

    def _lasting(self) -> SecretStr | None:
        known = self._known
        return known.access if known is not None and self._clock() < known.renew_at else None

    def _renew_ahead(self) -> SecretStr:
        if (token := self._lasting()) is not None:
            return token  # another thread did it meanwhile
        held = self._held()
        if _lasts(held):
            return self._adopt(held)
        if held.left_s <= _TRY_AGAIN_S:
            return self._renew(None, _WAIT_S)
        try:
            return self._renew(None, _HARDLY_S)
        except ApiError as failure:
            # Ahead of time: the token still works, so nothing has to end for this.
            _log.warning("oauth_not_renewed", category=failure.category.value, seconds_left=round(held.left_s))
            return self._adopt(held, again_in_s=_TRY_AGAIN_S)

    def _adopt(self, held: Held, *, again_in_s: float | None = None) -> SecretStr:
        wait_s = held.left_s - _ahead_s(held) if again_in_s is None else again_in_s
        self._known = _Known(held.access, self._clock() + wait_s)
        return held.access

    # --- one process at a time

    def _renew(self, gone: SecretStr | None, wait_s: float) -> SecretStr:
        """Another token than the one that is `gone`, or one that is not about to end."""
        try:
            with self._store.one_at_a_time(wait_s):
                held = self._held()  # again: whoever had the lock may have renewed it
                done = _lasts(held) if gone is None else held.access != gone and held.left_s > 0
                return self._adopt(held if done else self._fresh(held))
        except RecordBusy:
            raise ApiError(
                Category.TRANSIENT, api="ghl", operation=TOKEN, reason="for another process is still renewing the token"
            ) from None

    def _fresh(self, held: Held) -> Held:
        if held.client_id != self._client_id:
            raise NotAuthorized("the tokens in the database were given to another app than the one in GHL_CLIENT_ID")
        if held.refresh is None and held.company_id is not None:
            return self._exchanged(held.company_id)
        return self._refreshed(held)

    def _refreshed(self, held: Held) -> Held:
        if held.refused_at is not None or held.refresh is None:
            raise NotAuthorized(_why(answer_lost=held.refresh_sent_at is not None))
        self._store.refresh_is_sent(held.holder)
        sent, asked_at = self._granting.requests, self._clock()
        try:
            grant = self._granting.refreshed(held.refresh, held.user_type)
        except GrantRefused:
            lost = held.refresh_sent_at is not None or self._granting.requests > sent + 1
            self._store.is_refused(held.holder, answer_lost=lost)
            raise NotAuthorized(_why(answer_lost=lost)) from None
        self._store.keep(
            new_tokens(
                grant,
                holder=held.holder,
                client_id=self._client_id,
                user_type=held.user_type,
                company_id=held.company_id,
                took_s=self._clock() - asked_at,
                before=held,
            )
        )
        return self._held(held.holder)

    def _exchanged(self, company_id: str) -> Held:
        """The location's token by the agency's; a lost answer of this costs nothing, for the next is as good."""
        agency = self._held(company_id)
        if not _lasts(agency):
            agency = self._refreshed(agency)
        asked_at = self._clock()
        try:
            grant = self._granting.for_location(agency.access, company_id, self._location_id)
        except ApiError as failure:
            if failure.category is not Category.AUTH:
                raise
            agency = self._refreshed(agency)
            grant = self._granting.for_location(agency.access, company_id, self._location_id)
        took_s = self._clock() - asked_at
        self._store.keep(exchanged(grant, self._location_id, company_id, self._client_id, took_s=took_s))
        return self._held()

    def _held(self, holder: str | None = None) -> Held:
        held = self._store.read(holder or self._location_id)
        if held is None:
            raise NotAuthorized("the app has no tokens for this location yet")
        return held


def new_tokens(
    grant: Grant,
    *,
    holder: str,
    client_id: str,
    user_type: str,
    company_id: str | None,
    took_s: float,
    before: Held | None = None,
) -> NewTokens:
    """What a grant gives a holder to keep; `took_s` seconds of it are over. What it leaves out stays as it was `before`."""
    refresh = grant.refresh_token or (before.refresh if before else None)
    return NewTokens(
        holder=holder,
        access=grant.access_token,
        refresh=refresh,
        lasts_s=max(1.0, grant.expires_in - took_s),
        refresh_lasts_s=None if refresh is None else REFRESH_LASTS_S,
        user_type=user_type,
        company_id=grant.company_id or company_id,
        client_id=client_id,
        scopes=grant.scope.split() or (before.scopes if before else ()),
    )


def exchanged(grant: Grant, location_id: str, company_id: str, client_id: str, *, took_s: float) -> NewTokens:
    """A location's token that an agency's was exchanged for.

    Its refresh token, if one comes with it, is left: whether it may be used is disputed (§16), and the exchange may be
    repeated at any time.
    """
    alone = grant.model_copy(update={"refresh_token": None})
    return new_tokens(
        alone, holder=location_id, client_id=client_id, user_type="Location", company_id=company_id, took_s=took_s
    )


def _headers(token: SecretStr) -> dict[str, str]:
    return {"Authorization": f"{_BEARER}{token.get_secret_value()}", "Accept": "application/json"}


def _ahead_s(held: Held) -> float:
    return min(AHEAD_S, held.lifetime_s / 4)


def _lasts(held: Held) -> bool:
    return held.left_s > _ahead_s(held)


def _why(*, answer_lost: bool) -> str:
    if answer_lost:
        return (
            "the answer to the last renewal of the app's token was lost, and the vendor takes a refresh token only once, so "
            "the one that is stored is worth nothing"
        )
    return "the app's refresh token is not accepted: the app was uninstalled, or its tokens were renewed elsewhere"
