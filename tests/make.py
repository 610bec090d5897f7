"""Reach states by calling services, exactly as people would. No factory writes a row a service could not."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.organisations import access as people
from portal.organisations import rules as roles
from portal.organisations import services as organisations
from portal.organisations.models import Member, Organisation, User
from scheduler.availability import rules as hours
from scheduler.availability import services as availability
from scheduler.bookings import series as series_bookings
from scheduler.bookings import services as bookings
from scheduler.bookings import swapping
from scheduler.bookings.models import Booking, BookingSeries
from scheduler.bookings.series_preview import SeriesWanted
from scheduler.bookings.series_rules import Frequency, Pattern
from scheduler.bookings.swap_models import Swap
from scheduler.catalogue import admitting
from scheduler.engagements import delivering, quoting
from scheduler.engagements import rules as engagement_rules
from scheduler.engagements import services as engagements
from scheduler.engagements.models import Engagement, EngagementQuote, Milestone
from scheduler.feeds import rules as feed_rules
from scheduler.feeds import services as feeds
from scheduler.feeds.models import FeedToken
from scheduler.qualifications import services as qualifications
from scheduler.resources import fees, pricing, profile
from scheduler.resources import rules as resource_rules
from scheduler.resources import services as resources
from scheduler.resources.models import Cluster, Partition, Rate, Resource
from scheduler.samples import rules as sample_rules
from scheduler.samples import services as samples
from scheduler.samples import testing
from scheduler.samples.models import SampleOrder
from vouchers.evidence.services import Upload
from vouchers.issuance import facts, reviewing
from vouchers.issuance import services as issuance
from vouchers.issuance.models import Application
from vouchers.notices import services as notices
from vouchers.notices.models import Notice
from vouchers.programmes import services as programmes
from vouchers.programmes.models import ProgrammeVersion
from vouchers.rounds import deciding
from vouchers.rounds import services as rounds
from vouchers.rounds.models import Round
from vouchers.wallets.models import Voucher

NOW = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)
"""A Wednesday, 10:00 in Beijing."""
BEIJING = ZoneInfo("Asia/Shanghai")
_serial = itertools.count(1)


def credit_code(serial: int | None = None) -> str:
    """Return a valid unified social credit code, different each time."""
    from stdnum.cn import uscc

    body = f"91330100MA{next(_serial) if serial is None else serial:07d}"
    return body + uscc.calc_check_digit(body)


def user(name: str = "", *, password: str = "") -> User:
    """Return a person; without a password only ``force_login`` lets them in (hashing one takes 100 ms)."""
    serial = next(_serial)
    person = User(username=f"{name or 'person'}{serial}", display_name=name or f"人员{serial}")
    person.set_password(password) if password else person.set_unusable_password()
    person.save()
    return person


def organisation(
    kind: roles.Kind, *, name: str = "", city: str = "杭州", now: datetime = NOW, **more: Any
) -> Organisation:
    serial = next(_serial)
    founder = user("founder")
    return organisations.register(
        user=founder,
        kind=kind,
        names={"zh": name or f"{kind.value} {serial} 号单位", "en": f"{kind.value.title()} {serial}"},
        credit_code=credit_code(),
        city=city,
        now=now,
        facts=more,
    )


def actor(org: Organisation, *which: roles.Role, name: str = "") -> Actor:
    """Return a new member of `org` with these roles, as an actor."""
    member = Member.objects.create(user=user(name), organisation=org, roles=[role.value for role in which])
    return people.actor_for(member)


def both_roles(w: World) -> Actor:
    """Return a new member who is the department's only reviewer and one of its approvers."""
    left = Member.objects.filter(organisation=w.department, roles__contains=[roles.Role.REVIEWER.value])
    left.update(left_at=NOW)
    return actor(w.department, roles.Role.REVIEWER, roles.Role.APPROVER)


def user_of(someone: Actor) -> User:
    return User.objects.get(pk=someone.user_id)


@dataclass
class World:
    """A department, a lab, a cluster operator and an enterprise, each with its people."""

    department: Organisation
    lab: Organisation
    enterprise: Organisation
    officer: Actor
    publisher: Actor
    reviewer: Actor
    approver: Actor
    finance: Actor
    finance_approver: Actor
    auditor: Actor
    third: Actor
    keeper: Actor
    lab_owner: Actor
    operator: Actor
    owner: Actor
    researcher: Actor
    seller: Actor


def world() -> World:
    """Build the people; nothing is booked, granted or paid yet."""
    k, r = roles.Kind, roles.Role
    department = organisation(k.DEPARTMENT, name="省科技厅")
    lab = organisation(k.PROVIDER, name="之江分析测试中心")
    enterprise = organisation(k.ENTERPRISE, name="杭州星河智能科技有限公司", sme=True)
    return World(
        department=department,
        lab=lab,
        enterprise=enterprise,
        officer=actor(department, r.PROGRAMME_OFFICER, name="陈政"),
        publisher=actor(department, r.PROGRAMME_PUBLISHER, name="沈发布"),
        reviewer=actor(department, r.REVIEWER, name="李初审"),
        approver=actor(department, r.APPROVER, name="王审批"),
        finance=actor(department, r.FINANCE_OFFICER, name="钱财务"),
        finance_approver=actor(department, r.FINANCE_APPROVER, name="孙复核"),
        auditor=actor(department, r.AUDITOR, name="周审计"),
        third=actor(department, r.CLAIM_AUDITOR, name="何会计"),
        keeper=actor(lab, r.LAB_MANAGER, name="吴机长"),
        lab_owner=actor(lab, r.OWNER, name="郑主任"),
        operator=actor(lab, r.CLUSTER_OPERATOR, name="冯运维"),
        owner=actor(enterprise, r.OWNER, name="赵总"),
        researcher=actor(enterprise, r.RESEARCHER, name="林研究"),
        seller=actor(lab, r.SERVICE_MANAGER, name="何服务"),
    )


def programme_file(code: str = "test-shared-2026", **changes: Any) -> bytes:
    """Return a programme that pays half of compute and instrument use."""
    document: dict[str, Any] = {
        "code": code,
        "name": {"zh": "创新资源共享券", "en": "Innovation sharing voucher"},
        "doc_no": "测试〔2026〕1 号",
        "issuer": "省科技厅",
        "lead": "省科技厅",
        "source": "测试",
        "grade": "A",
        "level": "province",
        "in_force": ["2026-01-01", "2027-12-31"],
        "eligibility": ["applicant.type", "=", "enterprise"],
        "related_party": "forbidden",
        "cost": {"include": ["compute", "instrument_use"], "max_months": 12},
        "per_contract_count": 1,
        "lines": [{"id": "50%", "rate": "0.50"}],
        "caps": [{"window": "year", "amount": 500000}],
        "validity": {"length": 12, "from": "issue"},
    }
    document.update(changes)
    return json.dumps(document, ensure_ascii=False).encode()


def draft(w: World, *, budget: str = "1000000", now: datetime = NOW, **changes: Any) -> ProgrammeVersion:
    """Import a programme."""
    return programmes.import_version(
        actor=w.officer,
        raw=programme_file(**changes),
        budget=Money.from_yuan(budget),
        fiscal_year=now.year,
        now=now,
    )


def programme(w: World, *, budget: str = "1000000", now: datetime = NOW, **changes: Any) -> ProgrammeVersion:
    """Import, review and publish a programme, by two people."""
    version = draft(w, budget=budget, now=now, **changes)
    fair_review(w, version, now=now)
    return programmes.publish(actor=w.publisher, version=version, now=now)


def fair_review(w: World, version: ProgrammeVersion, *, now: datetime = NOW) -> None:
    """Record the fair-competition review a draft needs to be published."""
    review = programmes.Review("省市场监管局", date(2026, 1, 5), "公审〔2026〕1 号", "经审查，不影响公平竞争。")
    programmes.record_fair_review(actor=w.publisher, version=version, review=review, now=now)


def contract(number: str = "HT-2026-001", **changes: Any) -> facts.Contract:
    values: dict[str, Any] = {
        "number": number,
        "provider": "之江分析测试中心",
        "signed": date(2026, 11, 1),
        "months": 12,
        "items": {"compute": Money.from_yuan("100000"), "instrument_use": Money.from_yuan("100000")},
        "related": False,
    }
    values.update(changes)
    return facts.Contract(**values)


def key() -> str:
    return uuid.uuid4().hex


def application(w: World, version: ProgrammeVersion, *, now: datetime = NOW, **changes: Any) -> Application:
    return issuance.submit(
        actor=w.owner,
        wanted=issuance.Wanted(version=version, contract=contract(**changes), stated={}),
        now=now,
        key=key(),
    )


def voucher(w: World, version: ProgrammeVersion | None = None, *, now: datetime = NOW, **changes: Any) -> Voucher:
    """Apply and pass both stages: by default a voucher of 100,000 yuan that pays half."""
    case = application(w, version or programme(w, now=now), now=now, **changes)
    return approved(w, passed(w, case, now=now), now=now)


def passed(
    w: World, case: Application, *, by: Actor | None = None, amount: Money | None = None, now: datetime = NOW
) -> Application:
    """Pass the stage a case stands at, by default as the reviewer."""
    verdict = reviewing.Verdict(amount=amount)
    return reviewing.pass_stage(actor=by or w.reviewer, application=case, verdict=verdict, now=now)


def approved(w: World, case: Application, *, by: Actor | None = None, now: datetime = NOW) -> Voucher:
    """Pass the last stage of a case whose voucher is issued at once."""
    done = passed(w, case, by=by or w.approver, now=now)
    return Voucher.objects.get(application=done)


def returned(w: World, case: Application, *, by: Actor | None = None, note: str, now: datetime = NOW) -> Application:
    """Send a case back."""
    verdict = reviewing.Verdict(note=note)
    return reviewing.return_case(actor=by or w.reviewer, application=case, verdict=verdict, now=now)


def refused(w: World, case: Application, *, by: Actor | None = None, note: str, now: datetime = NOW) -> Application:
    """Refuse a case."""
    verdict = reviewing.Verdict(note=note)
    return reviewing.refuse(actor=by or w.reviewer, application=case, verdict=verdict, now=now)


def applicant(name: str = "", *, city: str = "杭州") -> Actor:
    """Return the owner of another enterprise."""
    return actor(organisation(roles.Kind.ENTERPRISE, name=name, city=city, sme=True), roles.Role.OWNER)


def waiting(
    w: World,
    version: ProgrammeVersion,
    yuan: str = "100000",
    *,
    owner: Actor | None = None,
    score: int | None = None,
    now: datetime = NOW,
) -> Application:
    """Let another enterprise ask for `yuan` under a batch programme that pays half; its case passes every stage."""
    owner = owner or applicant()
    case = issuance.submit(
        actor=owner,
        wanted=issuance.Wanted(
            version=version,
            contract=contract(number=f"HT-{next(_serial)}", items={"compute": Money(2 * Money.from_yuan(yuan).fen)}),
            stated={},
        ),
        now=now,
        key=key(),
    )
    for judge in (w.reviewer, w.approver):
        verdict = reviewing.Verdict(score=score)
        case = reviewing.pass_stage(actor=judge, application=case, verdict=verdict, now=now)
    return case


def round_of(
    w: World, version: ProgrammeVersion, *, closes_at: datetime | None = None, now: datetime = NOW, **more: Any
) -> Round:
    """Open the next round of a batch programme; it closes in a week."""
    ends = closes_at or now + timedelta(days=7)
    return rounds.open_round(actor=w.publisher, version=version, closes_at=ends, now=now, **more)


def decided(w: World, opened: Round, *, now: datetime | None = None, **more: Any) -> Round:
    """Close a round at its end, propose it and confirm it as another person."""
    assert opened.closes_at is not None
    at = now or opened.closes_at
    rounds.close_due(now=at)
    proposed = rounds.propose(actor=w.reviewer, round_=opened, now=at, **more)
    return deciding.confirm(actor=w.approver, round_=proposed, now=at)


def noticed(w: World, version: ProgrammeVersion, *, round_: Round | None = None, now: datetime = NOW) -> Notice:
    """Draft a notice of what is decided and publish it as another person."""
    drafted = notices.draft(actor=w.reviewer, version=version, round_=round_, now=now)
    return notices.publish(actor=w.approver, notice=drafted, now=now)


def instrument_values(**changes: Any) -> resources.InstrumentValues:
    values: dict[str, Any] = {
        "name": "场发射扫描电子显微镜",
        "name_en": "Field-emission SEM",
        "category": "analytical",
        "city": "杭州",
        "site": "紫金港 2 号楼 105",
        "zone": "Asia/Shanghai",
        "model": "SU8600",
        "manufacturer": "日立",
        "functions": "微纳形貌观察与能谱分析。",
        "functions_en": "Micro- and nanoscale imaging with EDS.",
        "original_value_fen": 450000000,
        "contact": "吴机长",
        "phone": "0571-88880000",
        "granularity_s": 1800,
        "min_duration_s": 3600,
        "max_duration_s": 8 * 3600,
        "lead_s": 0,
        "horizon_s": 60 * 86400,
        "setup_s": 0,
        "cleanup_s": 0,
    }
    values.update(changes)
    return resources.InstrumentValues(**values)


def instrument(
    w: World, *, rate: str = "480", now: datetime = NOW, opens: tuple[int, int] = (480, 1320), **changes: Any
) -> Resource:
    """Publish an instrument: open every day 08:00-22:00 local time at 480 yuan an hour, 300 yuan a sample."""
    resource = entered(w, rate=rate, now=now, opens=opens, **changes)
    return resources.change_state(
        actor=w.keeper, resource=resource, action=resource_rules.PublishAction.PUBLISH, now=now
    )


def entered(
    w: World, *, rate: str = "480", now: datetime = NOW, opens: tuple[int, int] = (480, 1320), **changes: Any
) -> Resource:
    """Enter an instrument that could be published, as a draft."""
    resource = resources.create_instrument(actor=w.keeper, values=instrument_values(**changes), now=now)
    availability.set_opening_hours(
        actor=w.keeper,
        resource=resource,
        hours=[hours.WeeklyHours(frozenset(range(1, 8)), opens[0], opens[1])],
        now=now,
    )
    pricing.set_hourly_rate(actor=w.keeper, resource=resource, amount=Money.from_yuan(rate), now=now)
    for mode in set(map(profile.ServiceMode, changes.get("modes", ()))) - {profile.ServiceMode.SELF}:
        item = fees.PriceItem(
            mode=mode,
            unit=resource_rules.Unit.SAMPLE,
            user_class=fees.UserClass.EXTERNAL,
            since=now,
            amount=Money.from_yuan("300"),
        )
        pricing.set_price(actor=w.keeper, resource=resource, item=item, now=now)
    return resource


def proposed(w: World, *, now: datetime = NOW, **changes: Any) -> Resource:
    """Let an institute propose an instrument for review. (`w.lab` is an institute from then on.)"""
    resource = entered(w, now=now, **{"internal_no": f"ZC-{next(_serial)}", **changes})
    Organisation.objects.filter(pk=w.lab.pk).update(facts={"type": "institute"})
    return admitting.propose(actor=w.keeper, resource=resource, now=now)


def operator(
    w: World, *instruments: Resource, opens: tuple[int, int] = (480, 1320), until: date = date(2028, 1, 1)
) -> Resource:
    """Enter an operator who works every day 08:00-22:00 and can run these instruments until a day."""
    person = qualifications.enter_operator(
        actor=w.keeper, name=f"操作员{next(_serial)}", city="杭州", zone="Asia/Shanghai", now=NOW
    )
    week = [hours.WeeklyHours(frozenset(range(1, 8)), *opens)]
    availability.set_opening_hours(actor=w.keeper, resource=person, hours=week, now=NOW)
    days = qualifications.Days(date(2026, 1, 1), until)
    for one in instruments:
        qualifications.grant_skill(actor=w.keeper, operator=person, instrument=one, days=days, now=NOW)
    return person


def local(day: date, clock: str, zone: ZoneInfo = BEIJING) -> datetime:
    hour, minute = clock.split(":")
    return datetime.combine(day, time(int(hour), int(minute)), zone).astimezone(UTC)


def slot(days: int = 1, start: str = "09:00", end: str = "11:00", *, now: datetime = NOW) -> Period:
    """Return a period `days` after today in Beijing time."""
    day = now.astimezone(BEIJING).date() + timedelta(days=days)
    return Period(local(day, start), local(day, end))


def feed(
    by: Actor,
    resource: Resource | None = None,
    *,
    kind: str = "events",
    privacy: str = "busy",
    label: str = "手机日历",
    now: datetime = NOW,
) -> tuple[FeedToken, str]:
    """Return a subscription address and its secret: of `resource`, or of the actor's own bookings."""
    wanted = feeds.Wanted(
        label=label, kind=feed_rules.FeedKind(kind), privacy=feed_rules.FeedPrivacy(privacy), resource=resource
    )
    return feeds.issue(actor=by, wanted=wanted, now=now)


def booking(
    w: World,
    resource: Resource,
    *,
    period: Period | None = None,
    pay_with: Voucher | Sequence[Voucher] | None = None,
    by: Actor | None = None,
    title: str = "电池极片截面观察",
    now: datetime = NOW,
) -> Booking:
    """Request a booking, `by` the world's researcher if nobody else, paid by the voucher or vouchers given."""
    vouchers = [pay_with] if isinstance(pay_with, Voucher) else list(pay_with or ())
    return bookings.request_booking(
        actor=by or w.researcher,
        wanted=bookings.Wanted(
            resource=resource,
            period=period or slot(now=now),
            title=title,
            vouchers=vouchers,
        ),
        now=now,
        key=key(),
    )


def held(w: World, resource: Resource, *, period: Period | None = None, now: datetime = NOW) -> Booking:
    """Hold time for ten minutes."""
    wanted = bookings.Wanted(resource, period or slot(now=now), "电池极片截面观察")
    return bookings.hold(actor=w.researcher, wanted=wanted, now=now, key=key())


def series(
    w: World,
    resource: Resource,
    *,
    pay_with: Voucher | None = None,
    now: datetime = NOW,
    dropped: frozenset[date] = frozenset(),
    moved: Mapping[date, Period] | None = None,
    **changes: Any,
) -> SeriesWanted:
    """Ask for a weekly series of three, Thursdays from tomorrow, 09:00-11:00; `changes` are the pattern's."""
    values: dict[str, Any] = {"first": slot(now=now).start.astimezone(BEIJING).date(), "clock": time(9)}
    values |= {"duration": timedelta(hours=2), "zone": resource.zone, "frequency": Frequency.WEEKLY, "count": 3}
    like = bookings.Wanted(
        resource=resource, period=slot(now=now), title="每周观察", vouchers=[pay_with] if pay_with else []
    )
    return SeriesWanted(like=like, pattern=Pattern(**{**values, **changes}), dropped=dropped, moved=dict(moved or {}))


def booked_series(w: World, resource: Resource, *, now: datetime = NOW, **changes: Any) -> BookingSeries:
    """Book a series."""
    return series_bookings.book(actor=w.researcher, wanted=series(w, resource, now=now, **changes), now=now, key=key())


def swap(w: World, resource: Resource) -> Swap:
    """Let another enterprise, confirmed in three days, propose to exchange times with a booking confirmed in two."""
    rival = actor(organisation(roles.Kind.ENTERPRISE), roles.Role.RESEARCHER)
    wanted = bookings.Wanted(resource=resource, period=slot(days=3), title="换样")
    asked = bookings.request_booking(actor=rival, wanted=wanted, now=NOW, key=key())
    other = booking(w, resource, period=slot(days=2))
    asked, other = (bookings.confirm(actor=w.keeper, booking=one, now=NOW) for one in (asked, other))
    return swapping.propose(
        actor=rival,
        booking=asked,
        resource=resource,
        at=other.starts_at,
        price=Money.from_yuan("960"),
        now=NOW,
        key=key(),
    )


def measured(w: World, made: Booking, *, start: datetime | None = None, end: datetime | None = None) -> Booking:
    """Confirm, use and measure a booking; by default exactly as booked."""
    began, ended = start or made.starts_at, end or made.ends_at
    bookings.confirm(actor=w.keeper, booking=made, now=made.created_at)
    bookings.start_session(actor=w.keeper, booking=made, started_at=began, now=began)
    return bookings.finish_session(actor=w.keeper, booking=made, ended_at=ended, now=ended)


def partition(
    w: World,
    *,
    adapter: str = "local",
    config: dict[str, Any] | None = None,
    rate: str = "9",
    guard_s: int = 0,
    **changes: Any,
) -> Partition:
    """Register a cluster with one partition of 8 cards at 9 yuan a card-hour. Clusters are entered by migration of
    the operator's own inventory, so there is no service to call. It ends runs on time unless `guard_s` says otherwise."""
    serial = next(_serial)
    cluster = Cluster.objects.create(
        code=f"cluster-{serial}",
        owner=w.lab,
        name=f"之江智算 {serial} 期",
        name_en=f"Zhijiang AI {serial}",
        city="杭州",
        adapter=adapter,
        config=config or {},
        capabilities={"guard_s": guard_s},
    )
    values: dict[str, Any] = {"name": "gpu", "label": "通用加速", "card_type": "a100", "max_cards": 8, "max_cpus": 32}
    made = Partition.objects.create(cluster=cluster, **{**values, **changes})
    Rate.objects.create(
        partition=made, unit="card_hour", amount_fen=Money.from_yuan(rate).fen, valid=(NOW - timedelta(days=365), None)
    )
    return made


def sample_order(w: World, resource: Resource, *, count: int = 2, now: datetime = NOW) -> SampleOrder:
    """Ask the lab to test `count` harmless samples."""
    wanted = samples.Wanted(
        resource=resource,
        title="电解液成分分析",
        wanted="按国标测定主要成分。",
        samples=[samples.Declared(label=f"S-{n}", hazards=["none"]) for n in range(1, count + 1)],
    )
    return samples.request(actor=w.researcher, wanted=wanted, now=now, key=key())


def quoted(w: World, order: SampleOrder, *, price: str = "300", now: datetime = NOW) -> SampleOrder:
    """Answer that it can be done and quote a price for each sample."""
    samples.answer(actor=w.keeper, order=order, feasibility=sample_rules.Feasibility.CAN, note="", now=now)
    offer = samples.Quote(sample_rules.QuoteUnit.SAMPLE, Money.from_yuan(price), order.samples.count())
    return samples.quote(actor=w.keeper, order=order, quote=offer, now=now)


def accepted(w: World, order: SampleOrder, *, pay_with: Sequence[Voucher] = (), now: datetime = NOW) -> SampleOrder:
    """Accept the quote."""
    seen = order.price_fen or 0
    return samples.accept(actor=w.researcher, order=order, seen_fen=seen, vouchers=pay_with, now=now)


def received(w: World, order: SampleOrder, *, now: datetime = NOW) -> SampleOrder:
    """Receive every sample."""
    for sample in order.samples.all():
        handling = testing.Handling(sample_rules.SampleAction.RECEIVE, "冷柜 3 号")
        testing.handle(actor=w.keeper, sample=sample, handling=handling, now=now)
    return SampleOrder.objects.get(pk=order.pk)


REPORT = Upload("report.pdf", b"%PDF-1.7\nreport\n%%EOF\n")


def drafted(w: World, order: SampleOrder, *, report: Upload = REPORT, now: datetime = NOW, **more: Any) -> SampleOrder:
    """Queue, test and draft the result of received samples, or test again what waits."""
    if order.state == "received":
        order = testing.queue(actor=w.keeper, order=order, now=now)
    if order.state == "queued":
        order = testing.start(actor=w.keeper, order=order, now=now)
    values = {"counted": order.quantity or 1, **more}
    return testing.draft(actor=w.keeper, order=order, draft=testing.Draft(report=report, **values), now=now)


def reported(w: World, order: SampleOrder, *, now: datetime = NOW) -> SampleOrder:
    """Review a drafted result as another keeper, and issue the report."""
    second = actor(w.lab, roles.Role.LAB_MANAGER)
    return testing.issue(actor=second, order=testing.review(actor=second, order=order, now=now), now=now)


def tested(w: World, resource: Resource, *, now: datetime = NOW) -> SampleOrder:
    """Bring an order to its issued report."""
    return reported(
        w,
        drafted(
            w,
            received(w, accepted(w, quoted(w, sample_order(w, resource, now=now), now=now), now=now), now=now),
            now=now,
        ),
        now=now,
    )


def engagement(w: World, resource: Resource, *, now: datetime = NOW) -> Engagement:
    """Ask the lab for a project of technical service."""
    wanted = engagements.Wanted(
        resource=resource,
        title="隔膜涂覆中试",
        description="隔膜涂覆配方放大，需保密。",
        wanted="中试样品与工艺参数。",
        wanted_by=now.date() + timedelta(days=60),
    )
    return engagements.request(actor=w.researcher, wanted=wanted, now=now, key=key())


def milestone_plan(*prices: str, now: datetime = NOW, **more: Any) -> quoting.Plan:
    """Return a plan with a milestone for each price in yuan, ten days apart."""
    lines = [
        engagement_rules.Line(f"阶段{n}", f"阶段{n}报告", now.date() + timedelta(days=10 * n), Money.from_yuan(one).fen)
        for n, one in enumerate(prices, start=1)
    ]
    return quoting.Plan(lines, **more)


def proposed_plan(w: World, found: Engagement, *prices: str, now: datetime = NOW, **more: Any) -> EngagementQuote:
    """Quote milestones at these prices; by default two, of 1,000 and 2,000 yuan."""
    plan = milestone_plan(*(prices or ("1000", "2000")), now=now, **more)
    return quoting.quote(actor=w.keeper, engagement=found, plan=plan, now=now)


def planned(
    w: World, found: Engagement, *prices: str, pay_with: Sequence[Voucher] = (), now: datetime = NOW, **more: Any
) -> Engagement:
    """Quote milestones and accept the quote."""
    made = proposed_plan(w, found, *prices, now=now, **more)
    seen = (made.version, sum(line.price_fen for line in made.lines.all()))
    return quoting.accept(actor=w.researcher, engagement=found, seen=seen, vouchers=pay_with, now=now)


def milestone(found: Engagement, position: int = 1) -> Milestone:
    return found.milestones.select_related("engagement").get(position=position)


def delivered(w: World, found: Engagement, position: int = 1, *, now: datetime = NOW) -> Milestone:
    """Deliver a milestone."""
    return delivering.deliver(actor=w.keeper, milestone=milestone(found, position), uploads=[REPORT], now=now)


def sent_back(w: World, found: Engagement, position: int = 1, *, now: datetime = NOW) -> Milestone:
    """Deliver a milestone and return it."""
    return delivering.send_back(
        actor=w.researcher, milestone=delivered(w, found, position, now=now), note="缺数据", now=now
    )


def disputed(w: World, found: Engagement, position: int = 1, *, now: datetime = NOW) -> Milestone:
    """Deliver a milestone, return it, and let the lab ask for a ruling."""
    back = sent_back(w, found, position, now=now)
    return delivering.dispute(actor=w.keeper, milestone=back, note="已按约交付", now=now)
