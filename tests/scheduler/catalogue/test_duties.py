"""Which instruments must be published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.money import Money
from scheduler.catalogue import duties, queries
from scheduler.resources import rules, services
from scheduler.resources.models import Resource
from scheduler.resources.profile import Profile
from tests import make


@pytest.mark.parametrize(
    ("yuan", "city", "must"),
    [
        ("499999.99", "武汉", False),
        ("500000.00", "武汉", True),
        ("299999.99", "杭州", False),
        ("300000.00", "杭州", True),
        ("300000.00", "宁波市", True),
        ("300000.00", "兰州", True),
        ("499999.99", "市", False),
    ],
)
def test_the_threshold_of_the_nation_and_of_regions(yuan, city, must):
    """Golden case I9."""
    assert duties.thresholds().must_be_listed(value=Money.from_yuan(yuan), city=city) == must


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.integers(0, 10**9))
def test_thresholds_are_data(nation, region, fen):
    document = {
        "nation": {"yuan": Money(nation).yuan(), "source": "a"},
        "regions": [{"yuan": Money(region).yuan(), "source": "b", "cities": ["甲"]}],
    }
    known = duties.read(document)
    assert known.must_be_listed(value=Money(fen), city="甲市") == (fen >= region)
    assert known.must_be_listed(value=Money(fen), city="乙") == (fen >= nation)
    assert known.lowest.fen == min(nation, region)


@pytest.mark.django_db
def test_what_must_be_published_and_is_not_is_named(w):
    make.instrument(w, name="已发布")

    def entered(name: str, yuan: str, **more) -> None:
        values = make.instrument_values(name=name, original_value_fen=Money.from_yuan(yuan).fen, **more)
        services.create_instrument(actor=w.keeper, values=values, now=make.NOW)

    entered("草稿", "300000")
    entered("便宜", "299999.99")
    entered("外地", "499999.99", city="武汉")
    entered("工位", "900000", kind="bench")
    entered("报废", "900000", profile=Profile(running_state="scrapped"))
    suspended = make.instrument(w, name="暂停")
    services.change_state(actor=w.keeper, resource=suspended, action=rules.PublishAction.SUSPEND, now=make.NOW)
    found = queries.missing(Resource.objects.all())
    assert [(line.resource.name, line.threshold.value.yuan()) for line in found] == [
        ("暂停", "300000.00"),
        ("草稿", "300000.00"),
    ]
