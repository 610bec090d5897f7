"""Recurrence rules against dateutil, which shares no line with ours, and the bounds that keep foreign rules cheap."""

from datetime import datetime, timedelta
from itertools import takewhile

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from integrations.ics.recurrence import BadRule, Budget, TooFrequent, occurrences, parse_rule

DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


def until(value):
    return datetime.strptime(value, "%Y%m%dT%H%M%S")


def expand(text, start, after, before, budget=None):
    rule = parse_rule(text, start, until)
    return list(occurrences(rule, start, after=after, before=before, budget=budget or Budget()))


def signed(least, most):
    return st.integers(-most, most).filter(lambda number: abs(number) >= least)


def numbers(values, most=3):
    return st.lists(values, min_size=1, max_size=most, unique=True).map(lambda found: ",".join(map(str, found)))


@st.composite
def rules(draw):
    freq = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"]))
    parts = [f"FREQ={freq}", f"INTERVAL={draw(st.integers(1, 5))}", f"WKST={draw(st.sampled_from(DAYS))}"]
    # Combinations that may never happen are left to the tests below: dateutil walks through them to the year 9999.
    kind = draw(st.sampled_from(["none", "monthday", "weekday", "nth", "week", "yearday"]))
    months = freq != "HOURLY" and kind not in {"week", "yearday"} and draw(st.booleans())
    if months:
        parts.append(f"BYMONTH={draw(numbers(st.integers(1, 12)))}")
    if kind == "monthday" and freq != "WEEKLY":
        parts.append(f"BYMONTHDAY={draw(numbers(signed(1, 28 if freq == 'HOURLY' else 31)))}")
    elif kind == "weekday":
        parts.append(f"BYDAY={draw(numbers(st.sampled_from(DAYS)))}")
    elif kind == "nth" and freq in {"YEARLY", "MONTHLY"}:
        nth = st.tuples(signed(1, 5), st.sampled_from(DAYS)).map(lambda pair: f"{pair[0]}{pair[1]}")
        parts.append(f"BYDAY={draw(numbers(nth))}")
    elif kind == "week" and freq == "YEARLY":
        parts += [f"BYWEEKNO={draw(numbers(signed(1, 53)))}", f"BYDAY={draw(numbers(st.sampled_from(DAYS)))}"]
    elif kind == "yearday" and freq == "YEARLY":
        parts.append(f"BYYEARDAY={draw(numbers(signed(1, 366)))}")
    if draw(st.booleans()) and freq != "HOURLY":
        parts.append(f"BYHOUR={draw(numbers(st.integers(0, 23)))}")
    if draw(st.booleans()):
        parts.append(f"BYMINUTE={draw(numbers(st.integers(0, 59), most=2))}")
    if draw(st.booleans()) and freq in {"YEARLY", "MONTHLY"} and kind in {"weekday", "nth"}:
        parts.append(f"BYSETPOS={draw(numbers(st.sampled_from([1, -1])))}")
    ending = draw(st.sampled_from(["never", "count", "until"]))
    if ending == "count":
        parts.append(f"COUNT={draw(st.integers(1, 40))}")
    elif ending == "until":
        parts.append(f"UNTIL={draw(st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1))):%Y%m%dT%H%M%S}")
    return ";".join(parts)


@settings(max_examples=200, deadline=None)
@given(
    rules(),
    st.datetimes(datetime(2016, 1, 1), datetime(2024, 1, 1)).map(lambda start: start.replace(second=0, microsecond=0)),
    st.integers(0, 5000),
)
def test_agrees_with_dateutil(text, start, skip):
    after = datetime(2016, 1, 1) + timedelta(days=skip)
    before = after + timedelta(days=400)
    found = takewhile(lambda moment: moment < before, rrulestr(text, dtstart=start))
    expected = [moment for moment in found if moment >= after]
    try:
        ours = expand(text, start, after, before)
    except TooFrequent:
        assume(False)
    assert ours == expected


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=SECONDLY",
        "FREQ=MINUTELY;INTERVAL=60;COUNT=2",
        "FREQ=HOURLY;BYMINUTE=0,15,30,45",
        "FREQ=DAILY;BYHOUR=1,2,3,4;BYMINUTE=0,5,10,15,20,25,30,35,40,45,50,55;BYSECOND=0,30",
        "FREQ=DAILY;BYHOUR=0;BYMINUTE=0;BYSECOND=" + ",".join(map(str, range(60))),
    ],
)
def test_refuses_what_is_denser_than_half_hours_before_expanding(text):
    with pytest.raises(TooFrequent):
        parse_rule(text, datetime(2026, 1, 1), until)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FREQ=FORTNIGHTLY",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;COUNT=-1",
        "FREQ=DAILY;COUNT=1e3",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=MONTHLY;BYDAY=0MO",
        "FREQ=MONTHLY;BYMONTHDAY=0",
        "FREQ=YEARLY;BYMONTH=13",
        "FREQ=WEEKLY;UNTL=20260101T000000",
        "FREQ=DAILY;FREQ=WEEKLY",
        "RSCALE=CHINESE;FREQ=YEARLY",
        "FREQ=DAILY;WKST=",
        "FREQ=DAILY;WKST=1MO",
        "FREQ=MONTHLY;BYDAY=+MO",
        "FREQ=DAILY;COUNT",
        "FREQ=DAILY;INTERVAL=1_0",
        "FREQ=DAILY,WEEKLY",
        "FREQ=DAILY;UNTIL=20260101T000000;UNTIL=20270101T000000",
        "FREQ=YEARLY;BYMONTH=5L",
    ],
)
def test_refuses_what_it_cannot_read(text):
    with pytest.raises(BadRule):
        parse_rule(text, datetime(2026, 1, 1), until)


def test_reads_the_spaces_and_trailing_semicolons_that_software_writes():
    ours = expand("FREQ=WEEKLY;BYDAY=MO, WE;", datetime(2026, 3, 2), datetime(2026, 3, 1), datetime(2026, 3, 8))
    assert ours == [datetime(2026, 3, 2), datetime(2026, 3, 4)]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", datetime(1970, 1, 1)),
        ("FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30", datetime(1970, 1, 1)),
        ("FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6;BYDAY=MO", datetime(1970, 1, 1)),
        ("FREQ=DAILY;COUNT=3;BYMONTH=2;BYMONTHDAY=30", datetime(1601, 1, 1)),
    ],
)
def test_a_rule_that_never_happens_ends(text, start):
    budget = Budget()
    assert expand(text, start, datetime(2026, 1, 1), datetime(2027, 1, 1), budget) == []
    assert budget.steps >= 0


def test_a_rule_that_does_not_count_costs_only_the_time_asked_for():
    budget = Budget()
    expand("FREQ=DAILY", datetime(1601, 1, 1), datetime(2026, 1, 1), datetime(2027, 1, 1), budget)
    assert Budget().steps - budget.steps < 400


def test_counting_is_paid_from_the_budget():
    with pytest.raises(TooFrequent):
        expand("FREQ=HOURLY;COUNT=999999999", datetime(1970, 1, 1), datetime(2026, 1, 1), datetime(2027, 1, 1))
