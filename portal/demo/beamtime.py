"""A cycle that lives: proposals judged and ranked, a schedule adopted, visits before, now and to come, a quote, a market."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from portal.demo import proposing
from portal.demo.facilities import OPENED
from portal.demo.people import People
from portal.demo.proposing import DAY, House, Work
from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.beamtime import (
    adopting,
    answering,
    arranging,
    compensating,
    drafts,
    ending,
    granting,
    losses,
    market,
    quoting,
    reporting,
    solving,
    visits,
)
from scheduler.beamtime.models import BeamVisit, DraftPlace, ScheduleDraft
from scheduler.beamtime.rules import LossCause
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.models import Beamline, Facility
from scheduler.panels import deciding, ranking
from scheduler.panels.models import Panel
from scheduler.proposals import services, team
from scheduler.proposals.models import BeamProposal
from scheduler.proposals.rules import Hazard

__all__ = ["live"]

BATTERY: Final = Work(
    "keti",
    "BL01",
    3,
    "富锂正极首周充放电的氧变价",
    "原位跟踪首周充放电中锰、镍近邻结构的变化。",
    "纽扣电池",
    devices=("CELL",),
)
CATALYST: Final = Work(
    "pingshen",
    "BL01",
    3,
    "单原子铜催化剂的价态演化",
    "二氧化碳电还原中铜的价态与配位数。",
    "碳载铜粉末",
    ProposalKind.PARTNER,
    use="grant",
)
GLAZE: Final = Work("keti", "BL01", 3, "越窑青瓷釉层铁的显色", "釉层中铁的价态与烧成气氛的关系。", "瓷片")
SODIUM: Final = Work("yanfa", "BL02", 6, "钠电层状氧化物的相变路径", "变温与充放电条件下的高分辨粉末衍射。", "正极粉末")
MAGNET: Final = Work(
    "qiye", "BL02", 6, "钕铁硼晶界相的低温结构", "低温下晶界相的晶格畸变与矫顽力。", "烧结磁体", devices=("CRYO",)
)
WATER: Final = Work("keti", "BL02", 6, "多孔框架材料吸附水的位置", "不同湿度下吸附水的占位与骨架呼吸。", "晶体粉末")
FILM: Final = Work(
    "keti",
    "BL03",
    3,
    "钙钛矿薄膜老化的三维成像",
    "光照与湿热老化中孔洞的生成与连通。",
    "薄膜器件",
    hazards=(Hazard.TOXIC,),
)
CRACK: Final = Work("qiye", "BL03", 6, "增材铝合金疲劳裂纹的萌生", "逐级加载下内部气孔与裂纹的三维演化。", "拉伸试样")
HOT: Final = Work(
    "qiye",
    "BL01",
    3,
    "辐照后包壳材料的近邻结构",
    "中子辐照后锆合金析出相的变化。",
    "辐照片",
    hazards=(Hazard.RADIOACTIVE,),
)
LEAK: Final = Work(
    "keti", "BL02", 3, "储能电站事故样品的物相分析", "事故样品中析出相的鉴定，供调查组使用。", "事故电芯碎片",
    ProposalKind.URGENT, hazards=(Hazard.FLAMMABLE,), urgency="样品在空气中数周内即变质，调查结论须在下月提交。",
)  # fmt: skip
LONG: Final = Work(
    "keti",
    "BL03",
    9,
    "古木构件风化的长期成像",
    "六个周期内逐期跟踪同一组木构件的风化。",
    "木样",
    ProposalKind.LONG_TERM,
)
CONCRETE: Final = Work("qiye", "BL03", 6, "低碳混凝土早期水化成像", "二十四小时内孔隙网络的形成。", "水泥净浆")
SEED: Final = Work("keti", "BL03", 3, "水稻种子吸胀的显微成像", "吸胀过程中胚乳裂隙的三维变化。", "种子")
NOTE: Final = Work(
    "keti", "BL03", 3, "锂金属枝晶的生长", "对称电池中枝晶生长的成像。", "对称电池", hazards=(Hazard.FLAMMABLE,)
)
FRESH: Final = Work("yanfa", "BL03", 6, "硅碳负极膨胀的原位成像", "循环中颗粒膨胀与极片厚度的对应。", "软包电池")
DRAFT: Final = Work("qiye", "BL02", 6, "高镍正极的热稳定性", "升温过程中的相变与释氧。", "正极粉末")
PAID: Final = Work(
    "qiye", "BL03", 9, "产品失效分析（保密）", "自有产品的无损三维检测。", "成品", ProposalKind.PROPRIETARY
)
PLACES: Final = ((CATALYST, -7), (BATTERY, -5), (FILM, 0), (CRACK, 3), (SODIUM, 4), (MAGNET, 7))
"""On which day from today the planner put each."""
REFUSED: Final = "没有说明为何必须使用同步辐射；建议先用实验室荧光与穆斯堡尔谱确认铁的价态，再申请下一周期。"


def live(people: People, facility: Facility, *, now: datetime) -> None:
    """Tell two months of it: an earlier call whose cycle runs now, one under review, one that is open."""
    cycle, later = facility.cycles.select_related("facility").order_by("during")
    house = House(people, facility, cycle, later, now)
    done = _first_call(house)
    _schedule(house, done)
    _visits(house, done)
    _under_review(house)
    _open_call(house)
    _paid(house)
    market.release_due(now=now)


def _period(house: House, opened: int, closed: int) -> Period:
    """Return from eight in the morning so many days ago to four in the afternoon of another, local time."""
    return Period(house.midnight(-opened) + timedelta(hours=8), house.midnight(-closed) + timedelta(hours=16))


def _first_call(house: House) -> dict[str, BeamProposal]:
    """Propose, judge, rank and decide what the cycle that runs now gives; return the proposals by their titles."""
    code = house.cycle.code
    during = _period(house, (OPENED - 2 * DAY).days, 42)
    names = (f"{code} 周期课题征集", f"Call for proposals {code}")
    call = proposing.announce(house, house.cycle, during, names, paper=False)
    reviewers = ("pingshen", "pingshen2", "shiyan")
    panel = proposing.seat(house, call, ("结构与成像评审组", "Structure and imaging"), reviewers, house.ago(41))
    graded = {
        BATTERY: {"pingshen2": "4.9", "shiyan": "4.6"},
        GLAZE: {"pingshen2": "2.2", "shiyan": "2.0"},
        SODIUM: {"pingshen": "4.8", "pingshen2": "4.7", "shiyan": "-"},
        MAGNET: {"pingshen": "4.1", "pingshen2": "4.3"},
        WATER: {"pingshen2": "3.6", "shiyan": "3.9"},
        FILM: {"pingshen2": "4.7", "shiyan": "5.0"},
        CRACK: {"pingshen": "4.2", "pingshen2": "4.0"},
    }
    found: dict[str, BeamProposal] = {}
    for at, work in enumerate([*graded, HOT]):
        sent = proposing.send(house, work, cycle=house.cycle, call=call, at=house.ago(55 - at))
        proposing.admit(house, sent, house.ago(41))
        if work is HOT:
            why = "本装置没有放射性样品的操作许可，请联系有热室的装置。"
            proposing.find(house, sent, house.ago(40), why_not=why)
        else:
            proposing.find(house, sent, house.ago(40))
            proposing.clear(house, sent, house.ago(39), "amber" if work.hazards else "green")
            proposing.judge(house, panel, sent, graded[work], house.ago(38))
        found[work.title] = sent
    for code, shifts in (("BL01", 9), ("BL02", 12), ("BL03", 9)):
        _decided(house, panel, code, shifts)
    share = proposing.send(house, CATALYST, cycle=house.cycle, call=None, at=house.ago(44))
    proposing.admit(house, share, house.ago(41))
    proposing.find(house, share, house.ago(40))
    proposing.clear(house, share, house.ago(39))
    choice = deciding.Direct("BL01", CATALYST.shifts, "合作方份额内，同意。")
    granting.decide_directly(actor=house.who("zhuren"), proposal=share, choice=choice, now=house.ago(28))
    return found | {CATALYST.title: share}


def _decided(house: House, panel: Panel, code: str, shifts: int) -> None:
    """Rank a beamline, refuse with reasons what is below the line, and have the director decide."""
    office = house.who("bangong")
    line = Beamline.objects.get(facility=house.facility, code=code)
    made = ranking.draft(actor=office, panel=panel, beamline=line, shifts=shifts, now=house.ago(30))
    rows = [
        ranking.Row(
            row.request.proposal.number,
            0 if row.grade_c < 250 else row.shifts,
            on_reserve=row.on_reserve and row.grade_c >= 250,
            moved_note="低于本轮分数线 2.5。" if row.grade_c < 250 else "",
            to_team=REFUSED if row.grade_c < 250 else "",
        )
        for row in made.rows.select_related("request__proposal").order_by("place")
    ]
    made = ranking.arrange(actor=office, ranking=made, rows=rows, version=made.version, now=house.ago(30))
    made = ranking.propose(actor=office, ranking=made, note="", version=made.version, now=house.ago(29))
    granting.decide_list(actor=house.who("zhuren"), ranking=made, version=made.version, now=house.ago(28))


def _schedule(house: House, found: dict[str, BeamProposal]) -> None:
    """Have the cycle drafted, put each where the planner wants it, and offer all of it."""
    planner, at = house.who("paiban"), house.ago(27)
    draft = drafts.order(
        actor=planner, cycle=house.cycle, seconds=1, wake=lambda _draft: None, key="demo-beam-draft", now=at
    )
    solving.solve(draft_id=draft.pk, now=at)
    for work, day in PLACES:
        allocation = found[work.title].requests.get().allocations.get()
        seen = DraftPlace.objects.filter(draft=draft, allocation=allocation).values_list("version", flat=True).first()
        spot = arranging.Spot(work.line, house.midnight(day))
        arranging.put(
            actor=planner, draft=draft, allocation_id=allocation.pk, spot=spot, seen=seen or 0, make_way=True, now=at
        )
    draft = ScheduleDraft.objects.select_related("cycle__facility").get(pk=draft.pk)
    made = adopting.adopt(actor=planner, draft=draft, version=draft.version, now=house.ago(26))
    assert len(made) == len(PLACES), "everything that has time has a place"
    for work, _day in PLACES:
        answering.accept(actor=house.who(work.who), visit=_visit(found, work), now=house.ago(25))
    note = "磁体烧结延期，样品来不及制备。"
    answering.decline(
        actor=house.who(MAGNET.who), visit=_visit(found, MAGNET), note=note, now=house.now - timedelta(hours=2)
    )


def _visit(found: dict[str, BeamProposal], work: Work) -> BeamVisit:
    return BeamVisit.objects.select_related("beamline__facility").get(allocation__request__proposal=found[work.title])


def _ready(house: House, found: dict[str, BeamProposal], work: Work) -> BeamVisit:
    """Prepare a visit: who comes, both forms in time, training, and the scientist says so."""
    visit, scientist, safety = _visit(found, work), house.who("xianzhan"), house.who("anquan")
    starts = visit.during.lower
    leader = found[work.title].team.get(is_leader=True)
    assert leader.user_id is not None
    visits.confirm(actor=house.who(work.who), visit=visit, user_ids=[leader.user_id], now=starts - 17 * DAY)
    visits.approve(actor=scientist, visit=visit, form="sample", now=starts - 16 * DAY)
    visits.approve(actor=safety, visit=visit, form="safety", now=starts - 15 * DAY)
    until: date = (house.now + timedelta(days=300)).date()
    visits.train(actor=safety, visit=visit, member=leader, until=until, now=starts - 15 * DAY)
    return visits.make_ready(actor=scientist, visit=visit, now=starts - 2 * DAY)


def _running(house: House, found: dict[str, BeamProposal], work: Work) -> BeamVisit:
    visit, scientist = _ready(house, found, work), house.who("xianzhan")
    begins = visit.during.lower
    visits.check_in(actor=scientist, visit=visit, now=begins - timedelta(hours=2))
    return visits.start(actor=scientist, visit=visit, now=min(begins + timedelta(minutes=10), house.now))


def _visits(house: House, found: dict[str, BeamProposal]) -> None:
    """Two visits are over, one of them reported and the other short of beam; one runs; one is ready, one is not yet."""
    scientist = house.who("xianzhan")
    reported = _running(house, found, CATALYST)
    ending.finish(actor=scientist, visit=reported, ended_at=reported.during.upper, now=reported.during.upper)
    said = reporting.ReportGiven("测得工作电位下铜由二价变为一价，配位数由 4 降到 2.6；数据已归档。", "论文撰写中。")
    reporting.hand_in(actor=house.who(CATALYST.who), visit=reported, given=said, now=house.ago(2))
    short = _running(house, found, BATTERY)
    begins = short.during.lower
    dark = Period(begins + timedelta(hours=9), begins + timedelta(hours=13, minutes=30))
    lost = losses.Lost(dark, LossCause.MACHINE, "储存环高频系统跳闸，重新注入。")
    losses.log(actor=scientist, line=short.beamline, lost=lost, now=dark.end)
    ending.finish(actor=scientist, visit=short, ended_at=short.during.upper, now=short.during.upper)
    note = "停束期间正值首周充电平台，缺少该段数据，希望补两个班次。"
    compensating.ask(actor=house.who(BATTERY.who), visit=short, note=note, now=short.during.upper + 0.5 * DAY)
    _running(house, found, FILM)
    _ready(house, found, CRACK)


def _under_review(house: House) -> None:
    """Have a call of the coming cycle at every step of its review."""
    code = house.later.code
    names = (f"{code} 周期成像与长期课题征集", f"Imaging and long-term proposals {code}")
    call = proposing.announce(house, house.later, _period(house, 30, 9), names, paper=False)
    panel = proposing.seat(
        house, call, ("显微成像评审组", "Microscopy"), ("pingshen", "pingshen2", "shiyan"), house.ago(9)
    )
    found = {
        work: proposing.send(house, work, cycle=house.later, call=call, at=house.ago(15 - at))
        for at, work in enumerate((LONG, CONCRETE, SEED, NOTE))
    }
    note = "请补充样品手套箱转移的方案，并写明电解液用量。"
    services.send_back(actor=house.who("bangong"), proposal=found[NOTE], note=note, now=house.ago(8))
    grades = {
        LONG: {"pingshen2": "4.4", "shiyan": ""},
        CONCRETE: {"pingshen": "4.6", "pingshen2": "4.4"},
    }
    for work in (LONG, CONCRETE, SEED):
        proposing.admit(house, found[work], house.ago(8))
        proposing.find(house, found[work], house.ago(7))
        if work in grades:
            proposing.clear(house, found[work], house.ago(6))
            proposing.judge(house, panel, found[work], grades[work], house.ago(5))
    line = Beamline.objects.get(facility=house.facility, code=LONG.line)
    chair = house.who("pingshen")
    later = [found[work].number for work in (LONG, SEED)]
    made = ranking.draft(actor=chair, panel=panel, beamline=line, without=later, now=house.ago(2))
    ranking.propose(
        actor=chair, ranking=made, note="长期课题与种子成像评完后另行排序。", version=made.version, now=house.ago(1)
    )


def _open_call(house: House) -> None:
    """Have a call that is open, with a panel, a draft whose team is not whole yet, and a proposal that was sent."""
    code = house.later.code
    names = (f"{code} 周期课题征集", f"Call for proposals {code}")
    call = proposing.announce(house, house.later, _period(house, 5, -20), names, paper=True)
    proposing.seat(house, call, ("材料科学评审组", "Materials science"), ("pingshen",), house.ago(4))
    proposing.send(house, FRESH, cycle=house.later, call=call, at=house.ago(2))
    draft = proposing.begin(house, DRAFT, cycle=house.later, call=call, at=house.ago(1))
    leader = house.who(DRAFT.who)
    team.invite(actor=leader, proposal=draft, name="苏映雪", email="keti@demo.invalid", now=house.ago(0.5))


def _paid(house: House) -> None:
    """Quote an enterprise its confidential wish, and leave an urgent one for the director."""
    paid = proposing.send(house, PAID, cycle=house.later, call=None, at=house.ago(6))
    urgent = proposing.send(house, LEAK, cycle=house.cycle, call=None, at=house.ago(3))
    for sent, days in ((paid, 5.0), (urgent, 2.0)):
        proposing.admit(house, sent, house.ago(days))
        proposing.find(house, sent, house.ago(days - 0.5))
        proposing.clear(house, sent, house.ago(days - 1))
    terms = quoting.QuoteTerms(
        PAID.shifts,
        Money.from_yuan("12000"),
        house.now + timedelta(days=25),
        terms="价格含线站科学家现场支持与数据重建；结果仅归企业所有，装置不公开题目与数据。",
    )
    quoting.offer(actor=house.who("bangong"), request=paid.requests.get(), said=terms, now=house.ago(3))
