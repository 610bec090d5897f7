"""The command with which anybody recomputes a lottery."""

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from tests import make
from vouchers.rounds import queries
from vouchers.rounds.models import RoundAward

LATER = make.NOW + timedelta(days=7)


@pytest.fixture
def drawn(w):
    version = make.programme(w, budget="100000", order="lottery", pool_short="reject")
    opened = make.round_of(w, version, public_source="上证指数收盘价")
    for _ in range(4):
        make.waiting(w, version, "30000")
    return make.decided(w, opened, public_value="3412.55")


def said(*args, **options):
    out = io.StringIO()
    call_command("lottery_verify", *args, stdout=out, **options)
    return out.getvalue()


def test_a_decided_lottery_is_recomputed(drawn):
    told = said(drawn.number)
    assert told.endswith("ok: 4 lots follow from the committed secret\n")
    assert len(told.splitlines()) == 5


def test_it_is_recomputed_without_the_database_too(drawn, tmp_path):
    awards = drawn.awards.select_related("application").order_by("-place")
    rows = "".join(f"{award.place},{award.application.number},x\n" for award in awards)
    file = tmp_path / "lots.csv"
    file.write_text("\ufeff次序,申请号,签号\n" + rows, encoding="utf-8")
    options = {
        "file": file,
        "secret": bytes(drawn.seed_secret).hex(),
        "commitment": drawn.seed_commitment,
        "public_value": "3412.55",
    }
    assert "ok: 4 lots" in said(**options)
    # One other value in twenty-four gives four lots the same order; not all of five.
    with pytest.raises(CommandError, match=r"place \d should be"):
        for cents in range(57, 62):
            said(**{**options, "public_value": f"3412.{cents}"})
    with pytest.raises(CommandError, match="not the one committed to"):
        said(**{**options, "secret": "00" * 32})


def test_a_changed_order_is_found(drawn):
    first, second = drawn.awards.order_by("place")[:2]
    RoundAward.objects.filter(pk=first.pk).update(place=99)
    RoundAward.objects.filter(pk=second.pk).update(place=1)
    with pytest.raises(CommandError, match="place 1 should be"):
        said(drawn.number)


def test_an_open_lottery_tells_nothing(w):
    opened = make.round_of(w, make.programme(w, order="lottery", pool_short="reject"))
    assert queries.seed(opened)
    with pytest.raises(CommandError, match="no decided lottery"):
        said(opened.number)
    with pytest.raises(CommandError, match="give a number"):
        said()
