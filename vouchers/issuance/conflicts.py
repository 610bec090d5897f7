"""Who may not act on a case, and why: what people declared, and what the portal's own records show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Final

from django.db.models import Q

from portal.kernel.actors import Actor
from portal.kernel.errors import noop
from portal.organisations.models import Member, Organisation, User
from portal.organisations.rules import Kind
from vouchers.issuance import rules
from vouchers.issuance.models import Application, Recusal, StageDecision
from vouchers.issuance.workflow import APPEAL_STAGE, ReviewAction

__all__ = ["APPLIED", "OWN_WORK", "WHY", "found", "provider_of", "refuse_interest"]

_ = noop

APPLIED: Final = "applied"
MEMBER: Final = "member"
OWN_WORK: Final = "other_stage"
WHY: Final = {
    APPLIED: _("您参与了申报"),
    MEMBER: _("您是该单位的成员"),
    OWN_WORK: _("您办过这份申请的另一环节"),
    "before_appeal": _("您办过申诉前的审核"),
    "recused": _("您已申请回避"),
    "same_name": _("您与该单位的法定代表人、股东或代办人同名"),
    "same_mail": _("您的邮箱与该单位成员同属一个单位域名"),
    "member_of_provider": _("您是合同服务单位的成员"),
}
"""Why somebody keeps away. Same name and same mail domain are no proof; they are reason enough to give it to another."""

PUBLIC_MAIL: Final = frozenset(
    {"qq.com", "163.com", "126.com", "sina.com", "foxmail.com", "139.com", "gmail.com", "outlook.com", "hotmail.com"}
)


def provider_of(application: Application) -> Organisation | None:
    """Return the registered organisation the contract is with, if it is one."""
    name = application.request.get("provider", {}).get("name", "")
    return Organisation.objects.filter(kind=Kind.PROVIDER.value, name=name).first()


def found(application: Application, persons: Collection[int]) -> dict[int, str]:
    """Return, for each of these persons who may not act on the case now, the first reason as a key of `WHY`.

    Whoever only asked for more inside an appeal has not judged it. At most eight queries, however many persons.
    """
    provider = provider_of(application)
    parties = [application.organisation, *([provider] if provider else [])]
    reasons: dict[int, str] = {}

    def because(people: Iterable[int | None], why: str) -> None:
        for person in people:
            if person in persons and person is not None:
                reasons.setdefault(person, why)

    because({application.submitted_by_id, application.undertaken_by_id}, APPLIED)
    members = Member.objects.filter(organisation__in=parties, left_at__isnull=True).values_list(
        "organisation_id", "user_id"
    )
    because([who for of, who in members if of == application.organisation_id], MEMBER)
    because([who for of, who in members if of != application.organisation_id], "member_of_provider")
    decisions = StageDecision.objects.filter(application=application)
    acts = decisions.values_list("turn", "stage", "person_id")
    judged = decisions.exclude(stage=APPEAL_STAGE, action=ReviewAction.RETURN.value)
    because(judged.filter(turn__lt=application.first_turn).values_list("person_id", flat=True), "before_appeal")
    because([who for _turn, stage, who in acts if stage != application.stage], OWN_WORK)
    recused = Recusal.objects.filter(
        Q(application=application) | Q(organisation__in=parties), withdrawn_at__isnull=True
    )
    because(recused.values_list("person_id", flat=True), "recused")
    _because_of_records(parties, persons, because=because)
    return reasons


def _because_of_records(parties: list[Organisation], persons: Collection[int], *, because: object) -> None:
    assert callable(because)
    users = list(User.objects.filter(pk__in=persons).order_by("pk"))
    names = {name for party in parties for name in _names(party)}
    because([user.pk for user in users if user.display_name and user.display_name in names], "same_name")
    own = _own_domains(parties)
    because([user.pk for user in users if _domain(user.email) in own], "same_mail")


def _names(organisation: Organisation) -> set[str]:
    """Return the people the registry names with an organisation."""
    facts = organisation.facts
    holders = facts.get("holders")
    rows = [str(row[0]) for row in holders if row] if isinstance(holders, list) else []
    return {str(name) for name in (facts.get("legal_representative"), facts.get("agent"), *rows) if name}


def _domain(mail: str) -> str:
    return mail.rpartition("@")[2].casefold()


def _own_domains(parties: list[Organisation]) -> set[str]:
    """Return the mail domains only these parties' people use among all enterprises and providers."""
    rows = Member.objects.filter(left_at__isnull=True).exclude(organisation__kind=Kind.DEPARTMENT.value)
    wanted = {_domain(mail) for mail in rows.filter(organisation__in=parties).values_list("user__email", flat=True)}
    wanted -= PUBLIC_MAIL | {""}
    if not wanted:
        return set()
    users: dict[str, set[int]] = defaultdict(set)
    ends = Q()
    for domain in wanted:
        ends |= Q(user__email__iendswith=f"@{domain}")
    for of, mail in rows.filter(ends).values_list("organisation_id", "user__email"):
        users[_domain(mail)].add(of)
    ours = {party.pk for party in parties}
    return {domain for domain, of in users.items() if of <= ours}


def refuse_interest(application: Application, actor: Actor) -> None:
    """Raises SamePerson for whoever applied or decided another stage, HasInterest for whoever is close to a party."""
    if actor.user_id is None:
        raise rules.SamePerson
    why = found(application, [actor.user_id]).get(actor.user_id)
    if why in (APPLIED, MEMBER, OWN_WORK):
        raise rules.SamePerson
    if why is not None:
        raise rules.HasInterest(why=WHY[why])
