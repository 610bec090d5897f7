import pytest

from portal.kernel.errors import Forbidden, InvalidTransition, NotFound
from portal.organisations.models import Member
from tests import make
from vouchers.flags import access, queries, rules, services
from vouchers.flags.rules import FlagAction, Pattern

SUBJECT = "claim:K2026-000001"


def raised(w, facts=None, pattern=Pattern.BACKDATED):
    return services.raise_flag(
        subject=SUBJECT,
        pattern=pattern,
        facts=facts or {"rows": [["signed", "2026-01-02"]]},
        organisations=[w.enterprise.pk],
        department_id=w.department.pk,
        now=make.NOW,
    )


def decide(w, flag, action=FlagAction.CLEAR, reason="已核对合同原件", actor=None):
    return services.decide(actor=actor or w.reviewer, flag=flag, action=action, reason=reason, now=make.NOW)


def test_a_pattern_is_flagged_once_and_follows_the_facts_while_open(w):
    first, second = raised(w), raised(w, {"rows": [["signed", "2026-01-03"]]})

    assert first.pk == second.pk
    assert queries.open_on(SUBJECT)[0].facts == {"rows": [["signed", "2026-01-03"]]}


def test_a_decided_flag_keeps_its_facts_and_decision(w):
    decide(w, raised(w))
    again = raised(w, {"rows": []})

    assert (again.state, again.facts) == ("cleared", {"rows": [["signed", "2026-01-02"]]})
    assert queries.open_on(SUBJECT) == []


def test_a_decision_needs_a_reason(w):
    with pytest.raises(rules.ReasonMissing):
        decide(w, raised(w), reason="  ")


def test_a_member_of_the_flagged_enterprise_does_not_decide(w):
    flag = raised(w)
    Member.objects.create(user_id=w.reviewer.user_id, organisation=w.enterprise, roles=["owner"])

    with pytest.raises(rules.InvolvedPerson):
        decide(w, flag)


def test_a_flag_is_decided_once(w):
    flag = raised(w)
    decide(w, flag, FlagAction.CONFIRM)

    with pytest.raises(InvalidTransition):
        decide(w, flag, FlagAction.CLEAR)


def test_the_flagged_never_see_it_and_another_department_neither(w):
    flag = raised(w)
    other = make.world()

    assert list(access.visible_to(w.reviewer)) == [flag]
    assert list(access.visible_to(w.auditor)) == [flag]
    with pytest.raises(NotFound):
        access.get_flag(w.owner, flag.pk)
    with pytest.raises(NotFound):
        access.get_flag(other.reviewer, flag.pk)
    with pytest.raises(Forbidden):
        decide(w, flag, actor=other.reviewer)
