"""How a purchase stands, and its figures. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Bought", "Figures", "Papers", "Standing"]


class Bought(StrEnum):
    """What a charge is for: the kind of its subject."""

    BOOKING = "booking"
    JOB = "job"
    ORDER = "order"
    SAMPLE = "sample"
    MILESTONE = "milestone"
    BEAM = "beam_quote"


class Standing(StrEnum):
    """How a purchase stands with its payer. Exactly one holds: the first of these that does."""

    DUE = "due"
    """Money is to be paid, or was declared and is looked for."""
    OWED_BACK = "owed_back"
    """Money that was paid is on its way back."""
    RUNNING = "running"
    """The price is held; it is settled once the service was measured or accepted."""
    SETTLED = "settled"
    FREE = "free"
    """It ended without a price: everything held is free again."""


class Papers(StrEnum):
    """Whether a tax invoice was asked for or issued."""

    NONE = "none"
    ASKED = "asked"
    ISSUED = "issued"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a purchase comes to, in fen. While it runs, price and shares are what is held; afterwards what was taken.

    `voucher` + `own` = `price` less what was refunded or written off of either. `paid` is what has arrived of the own
    share, `due` what is to come of it, `back` what went back to the payer and `owed_back` what is still to go.
    """

    price: int
    voucher: int
    own: int
    paid: int
    due: int
    back: int
    owed_back: int
    refunded: int
    """What of the settled price was given back, by voucher and in money."""
