"""What a salon has decided about its contacts. Data alone; `assembly` fills it from the settings.

Belongs here: choices that change what a run wants. Does not: settings' names and their reading (`settings`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from phorest_ghl.ghl.fields import Facet
from phorest_ghl.sync.consent import Policy
from phorest_ghl.sync.consent_step import BULK_LIMIT
from phorest_ghl.sync.contact_hours import ContactHours
from phorest_ghl.sync.identity import JUNK_THRESHOLD

TIERS: Mapping[str, int] = {"gold": 1000, "silver": 500, "bronze": 100, "member": 0}
REBOOK_DAYS = 42
FACETS = frozenset({Facet.LOYALTY, Facet.VISITS, Facet.BOOKINGS, Facet.PRODUCTS})
"""The facets that a salon can switch off."""


@dataclass(frozen=True, kw_only=True)
class FacetRules:
    """A salon's choices about loyalty, visits, online bookings and what was bought. Names are compared without case.

    Attributes:
        on: the facets that contacts have.
        spend: whether the sum of what a client spent goes to GHL.
        tiers: least points by the tier's name; a tier of 0 has everybody with a card.
        rebook_days: days from a visit to the next where a client has not been often enough to tell, default 42.
        no_show_names: services and columns of the diary by which Phorest's staff marks that a client did not come.
        marker_names: services that are no visit.
        excluded_categories: client categories that make no tag (safety S19), like the two below.
        excluded_services: services, or categories of them, that no field names.
        excluded_products: products, or categories of them, that make no tag.
        before_go_live: whether what was bought before go-live makes tags (safety S19).
        branch_ids: the branches that are read; all where none is named.
    """

    on: frozenset[Facet] = FACETS
    spend: bool = True
    tiers: Mapping[str, int] = field(default_factory=lambda: TIERS)
    rebook_days: int = REBOOK_DAYS
    no_show_names: tuple[str, ...] = ("No show",)
    marker_names: tuple[str, ...] = ("Late cancellation fee", "Storno")
    excluded_categories: tuple[str, ...] = ()
    excluded_services: tuple[str, ...] = ()
    excluded_products: tuple[str, ...] = ()
    before_go_live: bool = False
    branch_ids: tuple[str, ...] = ()

    @cached_property
    def hidden_categories(self) -> frozenset[str]:
        """The excluded client categories as they are compared."""
        return frozenset(folded(self.excluded_categories))


def folded(names: tuple[str, ...]) -> list[str]:
    """Names as they are compared: lower case, one space between words."""
    return [" ".join(name.lower().split()) for name in names]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """A salon's choices.

    Attributes:
        policy: what closes a channel (safety S8).
        notes: whether Phorest's notes on a client, which may name health matters, go to GHL.
        without_contact_point: whether a client with neither email nor phone gets a contact.
        junk_above: an address that more clients than this share reaches none of them (safety S12).
        opt_ins_at_once: opt-ins of one run above which a person has to look (safety S7).
        facets: what follows from visits, sales and points.
        hours: when people may be written to; outside of it new contacts and tags wait (safety S5).
    """

    policy: Policy = "strict"
    notes: bool = False
    without_contact_point: bool = False
    junk_above: int = JUNK_THRESHOLD
    opt_ins_at_once: int = BULK_LIMIT
    facets: FacetRules = field(default_factory=FacetRules)
    hours: ContactHours = field(default_factory=ContactHours)

    @cached_property
    def switches(self) -> frozenset[str]:
        """The switches of `ghl.fields` that these choices turn on."""
        choices = {
            "notes": self.notes,
            "separate": self.policy == "separate",
            "spend": self.facets.spend and Facet.VISITS in self.facets.on,
        }
        return frozenset(name for name, on in choices.items() if on) | {facet.value for facet in self.facets.on}
