"""The eligibility check: strangers ask, nothing is kept, every open programme answers with its grounds."""

from django.urls import reverse

from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from vouchers.issuance.models import Application


def ask(client, **values):
    return client.get(reverse("eligibility"), {"kind": "compute", "amount": "100000", **values})


def test_a_stranger_sees_what_each_programme_would_pay(w, client):
    make.programme(w, in_force=LONG)
    make.programme(w, code="test-big", in_force=LONG, lines=[{"id": "60%", "rate": "0.60"}])
    make.programme(w, code="test-corpus", in_force=LONG, cost={"include": ["corpus"]})
    response = ask(client, **{"fact.applicant.type": "0"})
    assert response.status_code == 200
    outlooks = response.context["outlooks"]
    assert [(one.version.programme.code, one.decision.amount.yuan()) for one in outlooks] == [
        ("test-big", "60000.00"),
        ("test-shared-2026", "50000.00"),
    ]
    assert raw_codes(text_of(response).replace("test-", "")) == []
    assert Application.objects.count() == 0


def test_an_unstated_fact_is_asked_for_and_not_held_against_anybody(w, client):
    make.programme(
        w, in_force=LONG, eligibility={"all": [["applicant.type", "=", "enterprise"], ["applicant.sme", "=", True]]}
    )
    response = ask(client)
    assert response.context["outlooks"][0].decision.decision == "supplement"
    assert [field.name for field in response.context["questions"]] == ["fact.applicant.sme"]
    answered = ask(client, **{"fact.applicant.type": "0", "fact.applicant.sme": "no"})
    assert answered.context["outlooks"][0].decision.decision == "reject"
    assert [field.name for field in answered.context["questions"]] == ["fact.applicant.sme"]
    assert (
        ask(client, **{"fact.applicant.type": "0", "fact.applicant.sme": "yes"}).context["outlooks"][0].decision.amount
    )


def test_a_bad_amount_names_its_field_and_loses_nothing(w, client):
    make.programme(w, in_force=LONG)
    response = ask(client, amount="12.345")
    assert response.status_code == 422
    assert "最多两位小数" in text_of(response)
    assert 'value="12.345"' in response.content.decode()


def test_nothing_open_is_no_error(db, client):
    assert client.get(reverse("eligibility")).status_code == 200
    assert ask(client).status_code == 200


def test_a_department_is_not_invited_to_apply(w, client):
    make.programme(w, in_force=LONG)
    enter(client, w.reviewer)
    assert "去申请" not in text_of(ask(client, **{"fact.applicant.type": "0"}))


def test_the_number_of_queries_does_not_grow(w, client, django_assert_max_num_queries):
    for number in range(4):
        make.programme(w, code=f"test-{number}", in_force=LONG)
    ask(client)
    with django_assert_max_num_queries(6):
        ask(client, **{"fact.applicant.type": "0"})


def test_who_holds_a_voucher_is_told_what_may_still_be_held_and_a_stranger_is_not_asked(w, client):
    version = make.programme(w, in_force=LONG, per_contract_count=9, count={"holding_max": "120000"})
    make.voucher(w, version)
    [stranger] = ask(client, **{"fact.applicant.type": "0"}).context["outlooks"]
    assert stranger.decision.amount.yuan() == "50000.00"
    page = ask(enter(client, w.owner), **{"fact.applicant.type": "0"})
    assert [one.decision.amount.yuan() for one in page.context["outlooks"]] == ["20000.00"]
    assert "最多持有 ¥120,000，现持有 ¥100,000" in text_of(page)
