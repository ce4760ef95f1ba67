"""Webhooks of the marketplace app: payloads, both signatures, delivery that is retried only on 429 (facts/ghl-api §14).

Belongs here: what is sent, signed with the sandbox's own keys. Does not belong here: deciding that something happened.

A private integration gets no app webhooks: nothing is sent before the app was installed, that is before an OAuth token
exists.
"""

import asyncio
import base64
import hashlib
from collections import deque
from collections.abc import Mapping
from random import Random
from typing import Any

import httpx
import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from phorest_ghl.sandbox.clock import Clock, exact_instant
from phorest_ghl.sandbox.ids import uuid_text
from phorest_ghl.sandbox.options import Switches
from phorest_ghl.sandbox.store import Row, Store, as_row

RSA_BITS = 2_048  # the vendor's has 4,096, which takes seconds to make and changes nothing for a verifier
_CONTACT = (
    "address1", "city", "state", "companyName", "country", "source", "dateAdded", "dateOfBirth", "dnd", "email",
    "firstName", "lastName", "phone", "postalCode", "website", "assignedTo",
)  # fmt: skip
_EVENT = (
    "id", "address", "title", "calendarId", "contactId", "groupId", "appointmentStatus", "assignedUserId", "users",
    "dateAdded", "dateUpdated",
)  # fmt: skip


class Webhooks:
    """Events waiting for delivery, and a record of every attempt."""

    def __init__(
        self,
        *,
        clock: Clock,
        switches: Switches,
        tokens: Store,
        deliveries: Store,
        settings: Store,
        app: tuple[str, str],
    ) -> None:
        self._clock, self._switches = clock, switches
        self._tokens, self._deliveries, self._settings = tokens, deliveries, settings
        self._app_id, self._location = app[0].partition("-")[0], app[1]
        self._rng = Random(app[0])  # noqa: S311 - ids and chance, not secrets
        self._ed25519 = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(app[0].encode()).digest())
        self._rsa: rsa.RSAPrivateKey | None = None
        self.pending: deque[tuple[str, bytes]] = deque()

    # --- set-up -----------------------------------------------------------------------------------------------------

    def configure(self, wish: Mapping[str, Any]) -> Row:
        """Where to send what: `{url, events (absent: all), drop, duplicate (shares of 0 to 1)}`; url null ends it.

        Raises:
            ValueError: an unknown key.
        """
        unknown = set(wish) - {"url", "events", "drop", "duplicate"}
        if unknown:
            raise ValueError(f"Webhooks take url, events, drop and duplicate, not {', '.join(sorted(unknown))}.")
        self._settings.put("webhooks", dict(wish))
        return self.describe()

    def describe(self) -> Row:
        """The configuration, and the public keys in PEM that verify the two signatures."""
        config = self._settings.get("webhooks") or {}
        ed25519_key, rsa_key = (_pem(key.public_key()) for key in (self._ed25519, self._rsa_key()))
        return {**config, "ed25519_public_key": ed25519_key, "rsa_public_key": rsa_key}

    def _rsa_key(self) -> rsa.RSAPrivateKey:
        if self._rsa is None:
            kept = self._settings.get("webhook rsa key")
            if kept is None:
                self._rsa = rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS)
                plain = self._rsa.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
                self._settings.put("webhook rsa key", {"pem": plain.decode()})
            else:
                key = serialization.load_pem_private_key(kept["pem"].encode(), password=None)
                assert isinstance(key, rsa.RSAPrivateKey)
                self._rsa = key
        return self._rsa

    # --- events -----------------------------------------------------------------------------------------------------

    def contact(self, kind: str, row: Row) -> None:
        """A Contact* event: flat."""
        payload: Row = {name: row.get(name) for name in _CONTACT} | {
            "id": row["id"],
            "tags": row["tags"],
            "attachments": [],
        }
        payload["name"] = " ".join(part for part in (row.get("firstName"), row.get("lastName")) if part)
        payload["customFields"] = [{"id": key, "value": value} for key, value in row["customFields"].items()]
        if kind == "ContactDndUpdate":
            payload["dndSettings"] = row["dndSettings"]
        self._emit(kind, payload)

    def inbound_dnd(self, row: Row) -> None:
        """A change of inbound DND alone fires nothing (#264), unless the switch says so."""
        if self._switches.ghl_inbound_dnd_webhook:
            self.contact("ContactDndUpdate", row)

    def appointment(self, kind: str, row: Row) -> None:
        """An Appointment* event: nested under `appointment`."""
        inner = {name: row.get(name) for name in _EVENT} | {
            "notes": row.get("description"),
            "source": row["createdBy"]["source"],
        }
        times = {name: _iso(row[stored]) for name, stored in (("startTime", "startMs"), ("endTime", "endMs"))}
        self._emit(kind, {"appointment": inner | times})

    def note(self, kind: str, row: Row) -> None:
        """A Note* event holds only id, body, contact and date (#312)."""
        self._emit(kind, {name: row.get(name) for name in ("id", "body", "contactId", "dateAdded")})

    def task(self, kind: str, row: Row) -> None:
        """A Task* event; a live TaskCreate lacks contact and body (#332)."""
        thin = {"contactId", "body"} if kind == "TaskCreate" else set[str]()
        names = ("id", "title", "body", "assignedTo", "dueDate", "contactId")
        self._emit(kind, {name: row.get(name) for name in names if name not in thin})

    def installed(self, row: Row) -> None:
        """The app was installed."""
        self._emit("INSTALL", {"installType": row["userType"], "userId": row["userId"], "companyId": row["companyId"]})

    def _emit(self, kind: str, payload: Row) -> None:
        config = self._settings.get("webhooks") or {}
        if not config.get("url") or not len(self._tokens) or kind not in config.get("events", [kind, "INSTALL"]):
            return
        if self._rng.random() < config.get("drop", 0.0):
            return
        envelope = {"type": kind, "locationId": self._location, "appId": self._app_id, "versionId": self._app_id}
        stamp = {"timestamp": exact_instant(self._clock.now()), "webhookId": uuid_text(self._rng)}
        body = bytes(memoryview(orjson.dumps(envelope | payload | stamp)))  # it may wait long; see Store.blob
        copies = 2 if self._rng.random() < config.get("duplicate", 0.0) else 1
        self.pending.extend([(config["url"], body)] * copies)

    # --- delivery ---------------------------------------------------------------------------------------------------

    def signatures(self, body: bytes) -> dict[str, str]:
        """The signature headers over the raw body, as the switch says."""
        wanted = self._switches.ghl_webhook_signatures
        found: dict[str, str] = {}
        if wanted in {"both", "ed25519"}:
            found["X-GHL-Signature"] = base64.b64encode(self._ed25519.sign(body)).decode()
        if wanted in {"both", "rsa"}:
            found["X-WH-Signature"] = base64.b64encode(
                self._rsa_key().sign(body, padding.PKCS1v15(), hashes.SHA256())
            ).decode()
        return found

    async def deliver(self, client: httpx.AsyncClient, url: str, body: bytes) -> None:
        """Send one event; again only while the answer is 429. Anything else, silence included, is final.

        The event is lost.
        """
        headers = {"Content-Type": "application/json", **self.signatures(body)}
        for attempt in range(self._switches.ghl_webhook_retries + 1):
            if attempt:
                await asyncio.sleep(self._switches.ghl_webhook_retry_s * (1 + 0.1 * self._rng.random()))
            try:
                status: int | None = (await client.post(url, content=body, headers=headers)).status_code
            except httpx.HTTPError:
                status = None
            self._note(body, attempt, status)
            if status != 429:
                return

    def _note(self, body: bytes, attempt: int, status: int | None) -> None:
        parsed = as_row(orjson.loads(body)) or {}
        row = {"webhookId": parsed["webhookId"], "type": parsed["type"], "attempt": attempt, "status": status}
        self._deliveries.put(str(len(self._deliveries) + 1), row)


def _iso(milliseconds: int) -> str:
    return exact_instant(Clock.moment(milliseconds))


def _pem(key: ed25519.Ed25519PublicKey | rsa.RSAPublicKey) -> str:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
