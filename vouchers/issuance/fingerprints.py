"""Know the same contract again, however it was typed and whichever party files it. Pure.

Source: the double-subsidy bans of the published schemes (扬府办发〔2024〕25号: the same contract not twice; 武汉市资金管理办法
2025: no other money for the same matter). Parties, number, amount and date together name a contract; the two parties
stand in no order, so that buyer and seller cannot both be supported for it under different names.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from datetime import date

from portal.kernel.money import Money

__all__ = ["Party", "contract_print", "normal_number", "normal_party"]


@dataclass(frozen=True, slots=True)
class Party:
    """A side of a contract: its registered credit code where it is known, else only its name."""

    name: str
    credit_code: str = ""


def _letters(text: str) -> str:
    """Return only letters and digits, in one width and one case: punctuation and spaces are typed as people like."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if letter.isalnum())


def normal_party(party: Party) -> str:
    """Return what names a party: the credit code (GB 32100-2015) wins over the name."""
    code = _letters(party.credit_code)
    return f"code:{code}" if code else f"name:{_letters(party.name)}"


def normal_number(number: str) -> str:
    """Return a contract's number without punctuation, spaces and case."""
    return _letters(number)


def contract_print(*, parties: tuple[Party, Party], number: str, amount: Money, signed: date) -> str:
    """Return the contract's SHA-256, hexadecimal: the same for both parties and for every way of typing it."""
    text = json.dumps(
        [sorted(normal_party(party) for party in parties), normal_number(number), amount.fen, signed.isoformat()],
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return hashlib.sha256(text.encode()).hexdigest()
