"""Everybody and everything that has a say in what becomes of a few clients: the part of a plan that is theirs.

Belongs here: finding them in the database. Does not: planning with them (`clients`), which goes by the same rules as a plan
of all clients: what is found here has to be enough for that plan to come out the same for the clients that were asked for.

Households are connected by addresses and merges, so finding them is a search that ends when nothing new turns up. *Whole*
are clients of whom every sharer of an address is known; others are there because they share one, and nothing is decided
of them. An address of more sharers than a household can have leads nowhere (safety S12).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from phorest_ghl.sync import mirror, normalise
from phorest_ghl.sync.journal import Ledger, MappingRow
from phorest_ghl.sync.mirror import MirrorContact
from phorest_ghl.sync.source import ClientRow, Names, load_clients

_TAIL = 6
"""Last digits of a number, by which numbers that may be one are found before they are compared."""

# What is written in other letters than ASCII, or as a name in Punycode, may be the same after it is put in order.
_SHARERS = text(r"""
    select phorest_id, email, mobile, creating_branch_id as branch_id, merged_to_client_id as merged_to from phorest_clients
    where not walk_in and (
        lower(regexp_replace(email, '\s', '', 'g')) = any(:emails) or (:any_email and email ~* '[^ -~]|xn--')
        or right(regexp_replace(mobile, '[^0-9]', '', 'g'), :tail) = any(:tails) or (:any_phone and mobile ~ '[^ -~]'))
""")
_MERGED = text("""
    select phorest_id from phorest_clients where merged_to_client_id = any(:ids)
    union select merged_to_client_id from phorest_clients where phorest_id = any(:ids) and merged_to_client_id is not null
""")


@dataclass
class Neighbours:
    """What a plan of a few clients has to know: `whole` are those of whom it can be made."""

    clients: dict[str, ClientRow] = field(default_factory=dict[str, ClientRow])
    contacts: dict[str, MirrorContact] = field(default_factory=dict[str, MirrorContact])
    mappings: dict[str, MappingRow] = field(default_factory=dict[str, MappingRow])
    whole: set[str] = field(default_factory=set[str])

    @property
    def rows(self) -> list[ClientRow]:
        """The clients, by id as everywhere."""
        return [self.clients[key] for key in sorted(self.clients)]


class _Search:
    def __init__(
        self, connection: Connection, ledger: Ledger, names: Names, former: Mapping[str, str], id_field: str | None
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._names = names
        self._former = former
        self._id_field = id_field
        self._country = next(iter(names.countries.values()), None)
        self._asked: set[str] = set()
        self.found = Neighbours()

    def look(self, phorest_ids: Iterable[str], *, junk_above: int) -> None:
        """Find everybody around these."""
        found, new = self.found, set(phorest_ids)
        while new:
            found.whole |= new
            others = self._with_merges(new)
            self._load(new | others)
            addresses = {a for key in new if key in found.clients for a in self._addresses(found.clients[key])}
            around = self._contacts(new, addresses)
            shared = self._sharers((addresses | _held(around)) - self._asked)
            self._asked |= addresses | _held(around)
            close = {
                key
                for address, (keys, counted) in shared.items()
                if address in addresses and counted <= junk_above
                for key in keys
            }
            close |= others | self._owners(around)
            self._load({key for keys, _ in shared.values() for key in keys})
            new = close - found.whole
        beside = self._with_merges(found.clients.keys() - found.whole)
        self._load(beside)
        found.mappings |= self._ledger.mappings(self._connection, sorted(found.clients))
        missing = {row.ghl_id for row in found.mappings.values()} - found.contacts.keys()
        found.contacts |= mirror.load_some(self._connection, self._ledger.location_id, ghl_ids=missing)

    def _load(self, phorest_ids: Iterable[str]) -> None:
        wanted = sorted(set(phorest_ids) - self.found.clients.keys())
        if wanted:
            self.found.clients |= {row.phorest_id: row for row in load_clients(self._connection, wanted)}

    def _with_merges(self, phorest_ids: Iterable[str]) -> set[str]:
        """Those that these were merged into, or that were merged into these, from end to end."""
        found: set[str] = set()
        ids = set(phorest_ids)
        while ids:
            rows = self._connection.execute(_MERGED, {"ids": sorted(ids)})
            ids = {row[0] for row in rows} - found
            found |= ids
        return found

    def _contacts(self, phorest_ids: Collection[str], addresses: Collection[str]) -> dict[str, MirrorContact]:
        """The contacts that these clients are on, left, are named in, or share an address with."""
        mapped = self._ledger.mappings(self._connection, sorted(phorest_ids))
        ids = {row.ghl_id for row in mapped.values()}
        ids |= {ghl_id for ghl_id, left_by in self._former.items() if left_by in phorest_ids}
        found = mirror.load_some(
            self._connection,
            self._ledger.location_id,
            ghl_ids=ids,
            addresses=addresses,
            carrying=(self._id_field, phorest_ids) if self._id_field else None,
        )
        self.found.contacts |= found
        return found

    def _owners(self, contacts: Mapping[str, MirrorContact]) -> set[str]:
        """The clients that are on these contacts, or have left them: an update of theirs may free an address."""
        rows = self._connection.execute(
            text("""select phorest_id from entity_mappings
                    where location_id = :location_id and entity_type = :entity_type and ghl_id = any(:ghl_ids)
                          and removed_at is null"""),
            {
                "location_id": self._ledger.location_id,
                "entity_type": self._ledger.entity_type,
                "ghl_ids": sorted(contacts),
            },
        )
        return {row.phorest_id for row in rows} | {self._former[key] for key in contacts if key in self._former}

    def _sharers(self, addresses: Collection[str]) -> dict[str, tuple[set[str], int]]:
        """Who has which of these addresses, and how many of them are no merged-away records."""
        emails = {address for address in addresses if "@" in address}
        phones = {address for address in addresses if "@" not in address}
        if not addresses:
            return {}
        rows = self._connection.execute(
            _SHARERS,
            {
                "emails": sorted(emails),
                "any_email": bool(emails),
                "tails": sorted({phone[-_TAIL:] for phone in phones}),
                "any_phone": bool(phones),
                "tail": _TAIL,
            },
        )
        found: dict[str, tuple[set[str], int]] = {}
        for row in rows:
            for address in self._usable(row.email, row.mobile, row.branch_id):
                if address in addresses:
                    keys, counted = found.get(address, (set[str](), 0))
                    found[address] = (keys | {row.phorest_id}, counted + (row.merged_to is None))
        return found

    def _addresses(self, client: ClientRow) -> set[str]:
        return self._usable(client.email, client.mobile, client.branch_id)

    def _usable(self, email: str | None, mobile: str | None, branch_id: str | None) -> set[str]:
        country = self._names.countries.get(branch_id or "", self._country)
        return {value for value in (normalise.email(email), normalise.phone(mobile, country)) if value}


def neighbours(
    connection: Connection,
    ledger: Ledger,
    names: Names,
    phorest_ids: Iterable[str],
    *,
    junk_above: int,
    former: Mapping[str, str],
    id_field: str | None,
) -> Neighbours:
    """Everybody around these clients.

    `former` are contacts that merges have left behind, each with who left it; `id_field` is the custom field that carries a
    client's id, where it is known.
    """
    search = _Search(connection, ledger, names, former, id_field)
    search.look(phorest_ids, junk_above=junk_above)
    return search.found


def _held(contacts: Mapping[str, MirrorContact]) -> set[str]:
    return {value for one in contacts.values() for value in (one.email, one.phone) if value}
