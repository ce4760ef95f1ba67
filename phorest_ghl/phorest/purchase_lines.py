"""A line of the export of sales: from text to types (facts/phorest-api §8.5).

Belongs here: one line. Does not: the file (`purchases`), the table (`specs`).
"""

from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phorest_ghl.phorest.models import Instant

_Money = Annotated[Decimal | None, Field(allow_inf_nan=False)]
_Text = str | None
_REQUIRED = frozenset({"transaction_item_id", "transaction_id"})


class Purchase(BaseModel):
    """One item of a sale. Flags are 0 and 1 in the file; money is in major units of the branch's currency."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    transaction_item_id: Annotated[str, Field(min_length=1)]
    transaction_id: Annotated[str, Field(min_length=1)]
    branch_id: _Text = None
    purchased_date: date | None = None
    purchase_time: time | None = None
    purchase_updated_at: Instant | None = None
    client_id: _Text = None
    staff_id: _Text = None
    item_type: _Text = None
    description: _Text = None
    quantity: _Money = None
    unit_price: _Money = None
    discount_amount: _Money = None
    net_total_amount: _Money = None
    gross_total_amount: _Money = None
    total_amount: _Money = None
    service_id: _Text = None
    service_name: _Text = None
    product_id: _Text = None
    product_name: _Text = None
    product_barcode: _Text = None
    product_brand_name: _Text = None
    product_category_name: _Text = None
    appointment_id: _Text = None
    payment_type_names: _Text = None
    loyalty_points_awarded: _Money = None
    online_booking: bool = False
    void: bool = False
    void_reason: _Text = None
    voided_transaction_id: _Text = None
    open_sale: bool = False

    @classmethod
    def of_line(cls, line: Mapping[str, str]) -> tuple[Self | str, tuple[str, ...]]:
        """The item, or why the line cannot be kept; and the names of odd values that were left out.

        A line without its ids is none; any other value that is not as documented is only left out of the typed columns.
        """
        try:
            return cls.model_validate(line), ()
        except ValidationError as error:
            odd = {str(detail["loc"][0]) for detail in error.errors(include_url=False, include_input=False)}
        if missing := sorted(odd & _REQUIRED):
            return f"the line has no usable {' and '.join(missing)}", ()
        return cls.model_validate({name: value for name, value in line.items() if name not in odd}), tuple(sorted(odd))

    def columns(self) -> dict[str, Any]:
        """As the writer of the table takes it: the branch under its wire name, the last change in ms as the version."""
        changed = self.purchase_updated_at
        return {
            **self.model_dump(mode="json"),
            "branchId": self.branch_id,
            "version": 0 if changed is None else round(changed.timestamp() * 1000),
        }
