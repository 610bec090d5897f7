"""Voucher codes a holder reads out at a provider's counter: how they are made, checked and hashed. Pure.

A code is sixteen random letters and four check letters, ``XXXX-XXXX-XXXX-XXXX-CCCC``, from 28 letters and digits no two
of which look alike: 28^16 or 76.9 bits to guess. The check letters are a keyed digest over programme, batch and the
random part, so a slip of the pen or a guess is known for one before anything is looked up.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["ALPHABET", "batch_of", "canonical", "check_letters", "digest", "is_genuine", "make", "pretty"]

ALPHABET: Final = "23456789ABCDEFGHJKMNPRTUWXYZ"
"""28 signs; of 0/O/Q, 1/I/L, 5/S and U/V, which a voice or a bad print confuses, at most one each."""
PAYLOAD: Final = 16
CHECK: Final = 4


def _mac(key: bytes, *parts: str) -> bytes:
    return hmac.new(key, "\x1f".join(parts).encode(), hashlib.sha256).digest()


def batch_of(*, fiscal_year: int) -> str:
    """Return the batch a voucher's code belongs to: its budget year."""
    return str(fiscal_year)


def check_letters(payload: str, *, programme: str, batch: str, key: bytes) -> str:
    """Return the four check letters of a payload in a programme's batch."""
    value = int.from_bytes(_mac(key, "check", programme, batch, payload)[:8], "big")
    letters = []
    for _ in range(CHECK):
        value, rest = divmod(value, len(ALPHABET))
        letters.append(ALPHABET[rest])
    return "".join(letters)


def make(*, programme: str, batch: str, key: bytes, choose: Callable[[str], str]) -> str:
    """Return a new code, canonical. `choose` picks one sign of the alphabet: ``secrets.choice`` outside tests."""
    payload = "".join(choose(ALPHABET) for _ in range(PAYLOAD))
    return payload + check_letters(payload, programme=programme, batch=batch, key=key)


def canonical(text: str) -> str:
    """Return what somebody typed as a code is stored: capitals, no separators; "" when it cannot be one."""
    code = "".join(text.upper().replace("-", " ").split())
    return code if len(code) == PAYLOAD + CHECK and set(code) <= set(ALPHABET) else ""


def pretty(code: str) -> str:
    """Return a canonical code in groups of four."""
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


def is_genuine(code: str, *, contexts: Iterable[tuple[str, str]], key: bytes) -> bool:
    """Say whether a canonical code's check letters fit any (programme, batch) there is; in constant time for each."""
    payload, letters = code[:PAYLOAD], code[PAYLOAD:]
    fits = [
        hmac.compare_digest(letters, check_letters(payload, programme=programme, batch=batch, key=key))
        for programme, batch in contexts
    ]
    return any(fits)


def digest(code: str, *, key: bytes) -> str:
    """Return the keyed hash (64 hex) a code is stored and found by; the code itself is stored nowhere."""
    return _mac(key, "code", code).hex()
