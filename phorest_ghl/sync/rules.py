"""What a salon has decided about its contacts. Data alone; `assembly` fills it from the settings.

Belongs here: choices that change what a run wants. Does not: settings' names and their reading (`settings`).
"""

from dataclasses import dataclass

from phorest_ghl.sync.consent import Policy
from phorest_ghl.sync.consent_step import BULK_LIMIT
from phorest_ghl.sync.identity import JUNK_THRESHOLD


@dataclass(frozen=True, kw_only=True)
class Rules:
    """A salon's choices.

    Attributes:
        policy: what closes a channel (safety S8).
        notes: whether Phorest's notes on a client, which may name health matters, go to GHL.
        without_contact_point: whether a client with neither email nor phone gets a contact.
        junk_above: an address that more clients than this share reaches none of them (safety S12).
        opt_ins_at_once: opt-ins of one run above which a person has to look (safety S7).
    """

    policy: Policy = "strict"
    notes: bool = False
    without_contact_point: bool = False
    junk_above: int = JUNK_THRESHOLD
    opt_ins_at_once: int = BULK_LIMIT

    @property
    def switches(self) -> frozenset[str]:
        """The switches of `ghl.fields` that these choices turn on."""
        return frozenset({"notes"} if self.notes else ()) | frozenset({"separate"} if self.policy == "separate" else ())
