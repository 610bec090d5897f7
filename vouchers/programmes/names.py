"""What facts, their values and the kinds of spending are called. A word that is not here is shown in quotes.

A name missing here never stops anything: programmes may use facts and tags nobody has named yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

from portal.kernel.money import Money
from vouchers.programmes.schemes import DeclaredFact
from vouchers.programmes.words import Words

__all__ = ["CITIES", "FACTS", "KINDS", "Fact", "declared", "fact", "kind", "money", "percent", "quoted", "value"]

W = Words

YEARS = W("年", "years")
MONTHS = W("个月", "months")


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact's name; for a yes/no fact what yes and no mean, for a number its unit (yuan when `is_money`)."""

    name: Words
    yes: Words | None = None
    no: Words | None = None
    unit: Words | None = None
    is_money: bool = False


def _yes(name: Words, yes: Words, no: Words) -> Fact:
    return Fact(name, yes=yes, no=no)


FACTS: Final[Mapping[str, Fact]] = {
    "applicant": Fact(W("申请人信息", "the applicant's data")),
    "applicant.type": Fact(W("申请人类型", "the type of applicant")),
    "applicant.region": Fact(W("申请人注册地", "the applicant's place of registration")),
    "applicant.city": Fact(W("申请人所在城市", "the applicant's city")),
    "applicant.industry": Fact(W("申请人所属行业", "the applicant's industry")),
    "applicant.tags": Fact(W("申请人资质", "the applicant's recognitions")),
    "applicant.members": Fact(W("核心成员人数", "the number of core members")),
    "applicant.employees": Fact(W("职工人数", "the number of employees")),
    "applicant.revenue": Fact(W("年营业收入", "the year's revenue"), is_money=True),
    "applicant.rd_spending": Fact(W("年研发投入", "the year's research and development spending"), is_money=True),
    "applicant.innovation_score": Fact(W("创新积分", "the innovation score")),
    "applicant.project_level": Fact(W("牵头承担的项目级别", "the level of the project the applicant leads")),
    "applicant.legal_person": _yes(
        W("法人资格", "legal personality"),
        W("申请人具有法人资格", "the applicant is a legal person"),
        W("申请人没有法人资格", "the applicant is not a legal person"),
    ),
    "applicant.sme": _yes(
        W("是否中小企业", "whether the applicant is an SME"),
        W("申请人是中小企业", "the applicant is an SME"),
        W("申请人不是中小企业", "the applicant is not an SME"),
    ),
    "applicant.startup": _yes(
        W("是否初创企业", "whether the applicant is a start-up"),
        W("申请人是初创企业", "the applicant is a start-up"),
        W("申请人不是初创企业", "the applicant is not a start-up"),
    ),
    "applicant.early_small": _yes(
        W("是否早期小微企业", "whether the applicant is an early-stage small firm"),
        W("申请人是早期小微企业", "the applicant is an early-stage small firm"),
        W("申请人不是早期小微企业", "the applicant is not an early-stage small firm"),
    ),
    "applicant.incubated": _yes(
        W("是否入驻孵化器", "whether the applicant sits in an incubator"),
        W("申请人已入驻孵化器", "the applicant sits in an incubator"),
        W("申请人未入驻孵化器", "the applicant does not sit in an incubator"),
    ),
    "applicant.social_insurance_local": _yes(
        W("是否在本地缴纳社保", "whether social insurance is paid locally"),
        W("申请人在本地缴纳社保", "the applicant pays social insurance locally"),
        W("申请人未在本地缴纳社保", "the applicant does not pay social insurance locally"),
    ),
    "applicant.dishonest": _yes(
        W("是否列入失信名单", "whether the applicant is on the dishonesty list"),
        W("申请人被列入失信名单", "the applicant is on the dishonesty list"),
        W("申请人未被列入失信名单", "the applicant is not on the dishonesty list"),
    ),
    "applicant.barred": _yes(
        W("是否被禁止申报", "whether the applicant is barred"),
        W("申请人被禁止申报", "the applicant is barred"),
        W("申请人未被禁止申报", "the applicant is not barred"),
    ),
    "applicant.barred_until": Fact(W("禁止申报截止日", "the last day of a bar")),
    "applicant.dishonest_years_clean": Fact(W("无失信记录年数", "the years without a dishonesty record"), unit=YEARS),
    "applicant.major_accident_free_years": Fact(
        W("未发生重大事故年数", "the years without a major accident"), unit=YEARS
    ),
    "applicant.year_compute_contracts": Fact(
        W("当年算力合同总额", "the year's total of compute contracts"), is_money=True
    ),
    "applicant.cycles_used": Fact(W("已享受的支持周期数", "the support cycles used")),
    "applicant.cycles_in_a_row": Fact(W("连续享受的支持周期数", "the support cycles used in a row")),
    "provider": Fact(W("服务机构信息", "the provider's data")),
    "provider.region": Fact(W("服务机构所在地", "the provider's place")),
    "provider.kind": Fact(W("服务机构类型", "the kind of provider")),
    "provider.pflops": Fact(W("服务机构算力规模", "the provider's computing power"), unit=W(" PFLOPS", "PFLOPS")),
    "provider.racks": Fact(W("服务机构标准机架数", "the provider's standard racks"), unit=W("架", "racks")),
    "provider.recognised": _yes(
        W("服务机构是否经认定", "whether the provider is recognised"),
        W("服务机构在认定名录内", "the provider is on the recognised list"),
        W("服务机构不在认定名录内", "the provider is not on the recognised list"),
    ),
    "provider.rosters": Fact(W("服务机构所在名录", "the rosters the provider is on")),
    "provider.name": Fact(W("服务机构名称", "the provider's name")),
    "contract": Fact(W("合同信息", "the contract's data")),
    "contract.id": Fact(W("合同编号", "the contract's number")),
    "contract.items": Fact(W("合同明细金额", "the contract's items and amounts")),
    "contract.related": _yes(
        W("合同双方是否为关联方", "whether the parties are related"),
        W("合同双方是关联方", "the parties are related"),
        W("合同双方不是关联方", "the parties are not related"),
    ),
    "contract.approved_items": Fact(W("核定的合同明细金额", "the contract's items as approved")),
    "contract.ordered_items": Fact(W("订单明细金额", "the items as ordered")),
    "contract.invoiced_items": Fact(W("开票明细金额", "the items as invoiced")),
    "contract.paid_items": Fact(W("实际支付明细金额", "the items as paid")),
    "contract.relations": Fact(W("合同双方的关联关系", "how the parties are related")),
    "contract.project": Fact(W("所属项目", "the project")),
    "contract.invoices": Fact(W("发票号码", "the invoice numbers")),
    "contract.service_from": Fact(W("服务起始日", "the first day of service")),
    "contract.service_to": Fact(W("服务截止日", "the last day of service")),
    "contract.service_year": Fact(W("服务年度", "the year of service")),
    "contract.signed": Fact(W("合同签订日期", "the date of signature")),
    "contract.months": Fact(W("合同期", "the contract's term"), unit=MONTHS),
    "contract.centre": Fact(W("使用的算力中心", "the computing centre used")),
    "contract.channel": Fact(W("采购渠道", "the purchase channel")),
    "contract.facility": Fact(W("算力设施类别", "the class of compute facility")),
    "contract.national_class": Fact(W("国家智能券类别", "the national AI voucher class")),
    "contract.purpose": Fact(W("用途", "the purpose")),
    "contract.tier": Fact(W("算力档位", "the compute tier")),
    "contract.use": Fact(W("使用方式", "the kind of use")),
    "contract.model_filed": _yes(
        W("所用模型是否已备案", "whether the model is filed"),
        W("所用模型已备案", "the model used is filed"),
        W("所用模型未备案", "the model used is not filed"),
    ),
    "instrument": Fact(W("仪器信息", "the instrument's data")),
    "request": Fact(W("申报信息", "the request's data")),
    "request.kind": Fact(W("申报类别", "the kind of request")),
    "request.route": Fact(W("申报方式", "the route of the request")),
    "usage": Fact(W("用量信息", "the usage data")),
    "usage.card_hours": Fact(W("卡时用量", "the card-hours used"), unit=W("卡时", "card-hours")),
    "usage.items": Fact(W("用量明细金额", "the cost of use by item")),
    "usage.free_used": Fact(W("已使用的免费额度", "the free quota used before")),
    "usage.price": Fact(W("用量单价", "the price per unit used"), is_money=True),
    "approval": Fact(W("审批信息", "the approval's data")),
    "approval.soft_cap_waived": _yes(
        W("是否批准突破一般上限", "whether the ordinary ceiling is waived"),
        W("已批准突破一般上限", "the ordinary ceiling is waived"),
        W("未批准突破一般上限", "the ordinary ceiling is not waived"),
    ),
    "today": Fact(W("申报日期", "the day of the request")),
    "year": Fact(W("发放年度", "the award year")),
    "history.contract": Fact(W("以往支持对应的合同", "the contract of an earlier award")),
    "history.project": Fact(W("以往支持对应的项目", "the project of an earlier award")),
    "history.invoices": Fact(W("以往支持对应的发票", "the invoices of an earlier award")),
    "history.date": Fact(W("以往支持的日期", "the day of an earlier award")),
    "history.service_year": Fact(W("以往支持的服务年度", "the year of service of an earlier award")),
    "history.level": Fact(W("以往支持的资金级别", "the level of an earlier award")),
    "history.year": Fact(W("以往支持的年度", "the year of an earlier award")),
}

DECLARED: Final[ContextVar[Mapping[str, Fact]]] = ContextVar("declared facts", default=MappingProxyType({}))
"""What programmes call the facts they alone ask for, while one of them is being told."""


@contextmanager
def declared(facts: Iterable[DeclaredFact]) -> Iterator[None]:
    """Let `fact` know the facts a programme declares, until the end of the block."""
    token = DECLARED.set({one.path: Fact(one.name, unit=one.unit, is_money=one.is_money) for one in facts})
    try:
        yield
    finally:
        DECLARED.reset(token)


PREFIXES: Final[Mapping[str, Words]] = {
    "applicant": W("申请人的", "the applicant's "),
    "provider": W("服务机构的", "the provider's "),
    "contract": W("合同的", "the contract's "),
    "instrument": W("仪器的", "the instrument's "),
    "request": W("申报的", "the request's "),
    "usage": W("用量的", "the usage's "),
    "approval": W("审批的", "the approval's "),
}

CITIES: Final[Mapping[str, Words]] = {
    "杭州": W("杭州", "Hangzhou"),
    "宁波": W("宁波", "Ningbo"),
    "温州": W("温州", "Wenzhou"),
    "嘉兴": W("嘉兴", "Jiaxing"),
    "湖州": W("湖州", "Huzhou"),
    "绍兴": W("绍兴", "Shaoxing"),
    "金华": W("金华", "Jinhua"),
    "衢州": W("衢州", "Quzhou"),
    "舟山": W("舟山", "Zhoushan"),
    "台州": W("台州", "Taizhou"),
    "丽水": W("丽水", "Lishui"),
    "上海": W("上海", "Shanghai"),
    "北京": W("北京", "Beijing"),
    "武汉": W("武汉", "Wuhan"),
    "青岛": W("青岛", "Qingdao"),
    "廊坊": W("廊坊", "Langfang"),
}

VALUES: Final[Mapping[str, Words]] = {
    **CITIES,
    "enterprise": W("企业", "enterprise"),
    "institute": W("科研院所", "research institute"),
    "university": W("高校", "university"),
    "maker": W("创客", "maker"),
    "team": W("团队", "team"),
    "public_institution": W("事业单位", "public institution"),
    "OPC": W("一人公司（OPC）", "one-person company (OPC)"),
    "tech_sme": W("科技型中小企业", "technology SME"),
    "hnte": W("高新技术企业", "high-tech enterprise"),
    "specialised_sme": W("专精特新中小企业", "specialised and innovative SME"),
    "tech_enterprise": W("科技型企业", "technology enterprise"),
    "filed_llm": W("已备案大模型企业", "developer of a filed large model"),
    "bj_key_ai_firm": W("北京市重点人工智能企业", "Beijing key AI firm"),
    "bj_partner": W("北京市人工智能伙伴企业", "Beijing AI partner firm"),
    "multimodal_foundation_model": W("多模态基础模型企业", "developer of a multimodal foundation model"),
    "selected_vertical_model_lead": W("入选的垂直模型牵头单位", "selected lead of a vertical model"),
    "national": W("国家级", "national"),
    "provincial": W("省级", "provincial"),
    "supercomputing_centre": W("超算中心", "supercomputing centre"),
    "ai_centre": W("智算中心", "AI computing centre"),
    "data_centre": W("数据中心", "data centre"),
    "training": W("模型训练", "model training"),
    "inference": W("模型推理", "model inference"),
    "data_exchange": W("数据交易所", "data exchange"),
    "direct": W("直接采购", "direct purchase"),
    "maas_filed_model": W("基于备案模型的 MaaS 或智能体服务", "MaaS or agents on a filed model"),
    "domestic": W("国产算力设施", "domestic facilities"),
    "tier1": W("一类算力设施", "tier-one facilities"),
    "other": W("其他", "other"),
    "settle_in": W("落户奖励", "settling in"),
    "use": W("使用本地算力", "use of local compute"),
    "exempt_match": W("免审配套", "match without a second review"),
    "separate": W("另行申报", "separate application"),
    "nation": W("国家", "nation"),
    "province": W("省", "province"),
    "city": W("市", "city"),
    "district": W("区县", "district"),
    "park": W("园区", "park"),
    "A": W("A 档", "tier A"),
    "B": W("B 档", "tier B"),
    "C": W("C 档", "tier C"),
    "汉阳区": W("汉阳区", "Hanyang District"),
    "西湖区": W("西湖区", "West Lake District"),
    "山东": W("山东", "Shandong"),
    "浙江": W("浙江", "Zhejiang"),
    "制造业": W("制造业", "manufacturing"),
    "软件信息服务业": W("软件信息服务业", "software and information services"),
    "国家超算成都中心": W("国家超算成都中心", "National Supercomputing Centre in Chengdu"),
    "成都智算中心": W("成都智算中心", "Chengdu AI Computing Centre"),
}

KINDS: Final[Mapping[str, Words]] = {
    "compute": W("算力", "compute"),
    "storage": W("存储", "storage"),
    "network": W("网络", "network"),
    "security": W("安全", "security"),
    "tech_support": W("技术支持", "technical support"),
    "model_api": W("模型调用", "model API calls"),
    "model_private": W("模型私有化部署", "private deployment of a model"),
    "model_cloud": W("云上模型服务", "cloud model service"),
    "agent_service": W("智能体服务", "agent service"),
    "corpus": W("语料", "corpora"),
    "data_product": W("数据产品", "data products"),
    "instrument_use": W("仪器机时", "instrument time"),
    "test": W("检测测试", "testing"),
    "rd_service": W("研发服务", "R&D service"),
}

UNITS: Final[Mapping[str, Words]] = {
    "CNY": W("人民币元", "yuan"),
    "card_hour": W("卡时", "card-hours"),
    "card_hours": W("卡时", "card-hours"),
    "token": W("词元", "tokens"),
    "tokens": W("词元", "tokens"),
}


def unit(code: str) -> Words:
    """Return how the unit a voucher is held in is called."""
    return UNITS.get(code) or quoted(code)


CODE = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)+\Z")


def _spaced(code: str) -> str:
    """Turn ``free_card_hours`` into words, the best that can be done for a tag nobody named."""
    return code.replace("_", " ") if CODE.match(code) else code


def quoted(code: str) -> Words:
    """Return a word nobody named in quotes, cut to a length that can be read."""
    said = _spaced(code)
    said = said if len(said) <= 60 else f"{said[:57]}…"
    return W(f"“{said}”", f"“{said}”")


def fact(path: str) -> Fact:
    """Return what is known about the fact at `path`; at least a name."""
    path = re.sub(r"\[\d+\]", "", path)
    if known := FACTS.get(path) or DECLARED.get().get(path):
        return known
    section, _dot, rest = path.partition(".")
    if section == "contract" and rest.startswith("items."):
        item = kind(rest.removeprefix("items."))
        return Fact(W(f"合同中{item.zh}金额", f"the contract's amount for {item.en}"), is_money=True)
    prefix = PREFIXES.get(section, W("", ""))
    tail = quoted(rest.replace(".", " · ") or section)
    return Fact(W(prefix.zh + tail.zh, prefix.en + tail.en))


def is_item(path: str) -> bool:
    """Tell whether a path is the amount of one kind of spending, of which there are many."""
    section, _dot, rest = path.partition(".")
    return section == "contract" and rest.startswith("items.")


def value(raw: Any, about: Fact | None = None) -> Words:
    """Return how a plain JSON value is said; `about` gives its unit."""
    if isinstance(raw, bool):
        return W("是", "yes") if raw else W("否", "no")
    if raw is None:
        return W("无", "none")
    if isinstance(raw, list):
        said = [value(item, about) for item in raw]
        return W("、".join(item.zh for item in said) or "空", ", ".join(item.en for item in said) or "empty")
    if isinstance(raw, Mapping):
        return W("一组数据", "a set of data")
    text = str(raw)
    if text in VALUES and not isinstance(raw, int):
        return VALUES[text]
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return _number(text, about)
    return W(text, text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else quoted(text)


def _number(text: str, about: Fact | None) -> Words:
    if about and about.is_money:
        return W(f"¥{_grouped(text)}", f"¥{_grouped(text)}")
    unit = about.unit if about else None
    if unit:
        gap = "" if unit.zh.startswith(" ") else " "
        return W(f"{text}{gap}{unit.zh}", f"{text} {unit.en}")
    return W(text, text)


def _grouped(text: str) -> str:
    whole, dot, rest = text.partition(".")
    return f"{int(whole):,}{dot}{rest}"


def kind(code: str) -> Words:
    """Return how a kind of spending is called."""
    return KINDS.get(code) or quoted(code)


def money(amount: Money) -> str:
    """Return ``¥2,000,000`` or ``¥0.50``: yuan without empty decimals."""
    return str(amount).removesuffix(".00")


def percent(rate: Fraction) -> str:
    """Return ``30 %``, exact; rates have at most six decimals."""
    whole, rest = divmod(int(rate * 1_000_000), 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + " %"
