"""Commitments and seeds of a lottery."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from vouchers.rounds import rules

secrets = st.binary(min_size=32, max_size=32)


@given(secrets, secrets)
def test_only_the_committed_secret_fits_its_commitment(one, other):
    published = rules.commitment(one)
    assert rules.is_committed(one, published)
    assert rules.is_committed(other, published) is (one == other)
    assert published == hashlib.sha256(one).hexdigest()


@given(secrets, st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_the_public_value_decides_the_seed_with_the_secret(secret, one, other):
    assert rules.seed_of(secret) == secret
    assert (rules.seed_of(secret, one) == rules.seed_of(secret, other)) is (one == other)
    assert rules.seed_of(secret, "3412.55") == hashlib.sha256(secret + b"3412.55").digest()
