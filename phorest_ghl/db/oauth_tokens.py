"""The table of OAuth tokens: sealed on the way in, opened on the way out, timed by the database's clock alone.

Belongs here: rows of `ghl_oauth_tokens`. Does not: when a token is renewed (`phorest_ghl.ghl.credentials`), the vendor.

Every time is the database's: what a vendor says is a number of seconds, and so no machine's wrong clock ends a token early.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, TextClause, text

from phorest_ghl.db.engine import connect_with_patience, record_lock
from phorest_ghl.db.sealing import Sealer
from phorest_ghl.db.transactions import in_transaction

_ONE_AT_A_TIME = "ghl_oauth_tokens"

_READ = text("""
    select location_id, access_token, refresh_token, user_type, company_id, client_id, scopes, refresh_sent_at, refused_at,
           expires_at, refresh_expires_at, extract(epoch from expires_at - clock_timestamp()) as left_s,
           extract(epoch from expires_at - updated_at) as lifetime_s
    from ghl_oauth_tokens where location_id = :holder""")
_KEEP = text("""
    insert into ghl_oauth_tokens
        (location_id, access_token, refresh_token, user_type, company_id, client_id, scopes, expires_at, refresh_expires_at)
    values
        (:holder, :access, :refresh, :user_type, :company_id, :client_id, cast(:scopes as jsonb),
         clock_timestamp() + make_interval(secs => :lasts_s),
         clock_timestamp() + cast(:refresh_lasts_s as double precision) * interval '1 second')
    on conflict (location_id) do update set
        access_token = excluded.access_token, refresh_token = excluded.refresh_token, user_type = excluded.user_type,
        company_id = excluded.company_id, client_id = excluded.client_id, scopes = excluded.scopes,
        expires_at = excluded.expires_at, refresh_expires_at = excluded.refresh_expires_at,
        refresh_sent_at = null, refused_at = null, updated_at = now()""")

_SENT = text("update ghl_oauth_tokens set refresh_sent_at = clock_timestamp() where location_id = :holder")
_REFUSED = text("""
    update ghl_oauth_tokens
    set refused_at = clock_timestamp(), refresh_sent_at = case when :answer_lost then refresh_sent_at end
    where location_id = :holder""")


@dataclass(frozen=True, kw_only=True)
class Held:
    """A holder's tokens as they are stored; the secrets are hidden in its repr.

    `left_s` is seconds, negative when over; `lifetime_s` those that the vendor gave.
    """

    holder: str
    access: SecretStr
    refresh: SecretStr | None
    user_type: str
    company_id: str | None
    client_id: str | None
    scopes: tuple[str, ...]
    expires_at: datetime
    refresh_expires_at: datetime | None
    refresh_sent_at: datetime | None
    refused_at: datetime | None
    left_s: float
    lifetime_s: float


@dataclass(frozen=True, kw_only=True)
class NewTokens:
    """What a vendor gave a holder; `lasts_s` and `refresh_lasts_s` are seconds from now."""

    holder: str
    access: SecretStr
    refresh: SecretStr | None
    lasts_s: float
    refresh_lasts_s: float | None
    user_type: str
    company_id: str | None
    client_id: str
    scopes: Sequence[str]


class TokenStore:
    """The tokens of this database. Its methods raise UnusableSecretKey, and DatabaseUnreachable."""

    def __init__(self, engine: Engine, sealer: Sealer) -> None:
        self._engine = engine
        self._sealer = sealer

    def read(self, holder: str) -> Held | None:
        """The tokens of a location, or of an agency by its company id."""
        with connect_with_patience(self._engine) as connection:
            row = connection.execute(_READ, {"holder": holder}).mappings().one_or_none()
        if row is None:
            return None
        return Held(
            holder=row["location_id"],
            access=self._sealer.open(row["access_token"]),
            refresh=None if row["refresh_token"] is None else self._sealer.open(row["refresh_token"]),
            user_type=row["user_type"],
            company_id=row["company_id"],
            client_id=row["client_id"],
            scopes=tuple(row["scopes"]),
            expires_at=row["expires_at"],
            refresh_expires_at=row["refresh_expires_at"],
            refresh_sent_at=row["refresh_sent_at"],
            refused_at=row["refused_at"],
            left_s=float(row["left_s"]),
            lifetime_s=float(row["lifetime_s"]),
        )

    def keep(self, *given: NewTokens) -> None:
        """Store tokens in one transaction, in place of what their holders had; committed when this returns."""
        values = [self._values(tokens) for tokens in given]
        in_transaction(self._engine, lambda connection: _each(connection, values))

    def refresh_is_sent(self, holder: str) -> None:
        """Note, committed, that the refresh token is about to be spent: it may be worth nothing from now on."""
        self._mark(_SENT, holder=holder)

    def is_refused(self, holder: str, *, answer_lost: bool) -> None:
        """Note, committed, that the vendor does not take the refresh token, and whether that is for a lost answer."""
        self._mark(_REFUSED, holder=holder, answer_lost=answer_lost)

    def _mark(self, statement: TextClause, **values: object) -> None:
        in_transaction(self._engine, lambda connection: connection.execute(statement, values))

    @contextmanager
    def one_at_a_time(self, timeout_s: float) -> Generator[None]:
        """Hold the lock under which tokens are renewed, one for all processes; a killed holder's ends with its session.

        Raises RecordBusy where another process keeps it for longer.
        """
        with (
            connect_with_patience(self._engine) as connection,
            record_lock(connection, _ONE_AT_A_TIME, timeout_s=timeout_s),
        ):
            yield

    def reseal(self) -> int:
        """Seal every token under the present key, all or none, and say how many holders had one under another."""
        return in_transaction(self._engine, self._reseal)

    def _reseal(self, connection: Connection) -> int:
        # Locked, so that a pair which is being stored meanwhile is not put back to the one before it.
        rows = connection.execute(
            text("select id, access_token, refresh_token from ghl_oauth_tokens order by id for update")
        ).all()
        changed = 0
        for row in rows:
            sealed = [None if value is None else self._again(value) for value in (row.access_token, row.refresh_token)]
            if sealed == [row.access_token, row.refresh_token]:
                continue
            connection.execute(
                text("update ghl_oauth_tokens set access_token = :access, refresh_token = :refresh where id = :id"),
                {"access": sealed[0], "refresh": sealed[1], "id": row.id},
            )
            changed += 1
        return changed

    def _again(self, sealed: str) -> str:
        return sealed if self._sealer.under_present_key(sealed) else self._sealer.seal(self._sealer.open(sealed))

    def _values(self, tokens: NewTokens) -> dict[str, Any]:
        return {
            "holder": tokens.holder,
            "access": self._sealer.seal(tokens.access),
            "refresh": None if tokens.refresh is None else self._sealer.seal(tokens.refresh),
            "user_type": tokens.user_type,
            "company_id": tokens.company_id,
            "client_id": tokens.client_id,
            "scopes": orjson.dumps(list(tokens.scopes)).decode(),
            "lasts_s": tokens.lasts_s,
            "refresh_lasts_s": tokens.refresh_lasts_s,
        }


def _each(connection: Connection, values: Sequence[dict[str, Any]]) -> None:
    for one in values:
        connection.execute(_KEEP, one)
