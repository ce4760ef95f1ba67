"""The field registry: every field that we ever write to a contact, who owns it, and what happens when values differ.

Belongs here: one row a field. Does not: values (projections), ids in a location (`sync.registry`).
"""

from dataclasses import dataclass
from enum import StrEnum


class Facet(StrEnum):
    """A part of a contact with its own owner (design §2)."""

    IDENTITY = "identity"
    CONSENT = "consent"


class Rule(StrEnum):
    """What happens when the desired value differs from what GHL holds."""

    PHOREST = "three-way: Phorest's value if it changed since GHL acknowledged it"
    RESTORE = "always restored: the field is ours alone"
    STRICTEST = "only ever tightened"
    ONCE = "sent with the create alone"


@dataclass(frozen=True)
class Field:
    """A standard field of a contact, by the name that the plan and the ledger use."""

    name: str
    facet: Facet
    rule: Rule


@dataclass(frozen=True)
class CustomFieldSpec(Field):
    """A custom field of ours; all are named `Phorest …` (safety S18). `key` is how GHL derives it from the name (§9.1)."""

    label: str
    data_type: str

    @property
    def key(self) -> str:
        """`contact.` and the name in snake case."""
        return "contact." + self.label.lower().replace(" ", "_")


FIRST_NAME = Field("first_name", Facet.IDENTITY, Rule.PHOREST)
LAST_NAME = Field("last_name", Facet.IDENTITY, Rule.PHOREST)
EMAIL = Field("email", Facet.IDENTITY, Rule.PHOREST)
PHONE = Field("phone", Facet.IDENTITY, Rule.PHOREST)
PHOREST_ID = CustomFieldSpec("phorest_id", Facet.IDENTITY, Rule.RESTORE, label="Phorest id", data_type="TEXT")

IDENTITY = (FIRST_NAME, LAST_NAME, EMAIL, PHONE)
CUSTOM = (PHOREST_ID,)

GUARD_TAG = "phorest:backfill"
"""On every contact that is written while the location is quiet (safety S1)."""
SOURCE = "phorest"
