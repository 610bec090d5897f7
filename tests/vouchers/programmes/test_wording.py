"""Programmes and decisions in words: both languages, every key, no code shown to anybody."""

import re

import pytest

from tests.vouchers.programmes.given import CASES, asked, catalogue, decide, has_raw_code, past, scheme
from vouchers.programmes import cases, documents, names, wording
from vouchers.programmes.decisions import Outcome
from vouchers.programmes.predicates import leaves

CATALOGUE = catalogue()
LOADED = cases.load_cases(CASES.read_bytes())
LANGUAGES = ("zh-hans", "en")


def said(programme, language, **known):
    sections = wording.describe(programme, language, **known)
    return "\n".join(sentence for section in sections for sentence in (section.title, *section.sentences))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_scheme_is_told_without_a_path_or_a_code(code, language):
    told = said(CATALOGUE[code], language, catalogue=CATALOGUE)

    assert not has_raw_code(told), told
    assert not any(other in told for other in CATALOGUE), told
    assert told.count("\n") > 5


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_fact_a_scheme_asks_for_has_a_name(code):
    programme = CATALOGUE[code]
    conditions = [programme.eligibility, programme.provider, programme.cost.when]
    conditions += [line.when for line in programme.lines] + [cap.when for cap in programme.caps]

    assert all(leaf.path in names.FACTS for condition in conditions for leaf in leaves(condition))
    assert all(kind in names.KINDS for kind in programme.cost.include)


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_english_shows_chinese_only_where_it_quotes_the_document(code):
    programme = CATALOGUE[code]
    sections = wording.describe(programme, "en", catalogue=CATALOGUE)
    rules = "\n".join(sentence for section in sections[1:] for sentence in section.sentences)

    assert not re.search(r"[\u4e00-\u9fff]", rules), rules


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("case", LOADED, ids=lambda case: case.id)
def test_every_decision_is_told_without_a_path_or_a_code(case, language):
    [result] = cases.run((case,), CATALOGUE)
    decision = result.decision
    told = [wording.headline(decision, language)]
    told += [step.text for step in wording.explain(decision, language, catalogue=CATALOGUE)]
    for ground in wording.reasons(decision, language):
        told += [ground.message, ground.remedy, *ground.details]

    assert not [text for text in told if has_raw_code(text)]
    if language == "en":
        assert not [text for text in told if re.search(r"[\u4e00-\u9fff]", text)]


FULL = scheme(
    code="full",
    name={"zh": "样例券", "en": "Sample voucher"},
    doc_no="样政规〔2026〕1号",
    issuer="样例市科学技术局",
    lead="样例市财政局",
    co_leads=["样例市数据局"],
    level="city",
    source="样例文件",
    grade="A",
    supersedes="old",
    in_force=["2026-01-01", None],
    side="supply",
    eligibility={"not": ["applicant.tags", "has_any", ["filed_llm", "odd_tag"]]},
    provider=["provider.racks", "<", 10],
    related_party="forbidden",
    double_subsidy="highest",
    double_levels=["city", "district"],
    cost={
        "include": ["compute", "odd_kind"],
        "when": ["contract.odd_fact", "exists", False],
        "basis": "paid",
        "period": "2026 年度",
        "signed_from": "2026-01-02",
        "max_months": 12,
        "min_base": 1000,
        "free_quota": {"unit": "odd_unit", "amount": 7},
    },
    per_contract_count=1,
    max_cycles=2,
    count={"per_application_max": 111, "holding_max": 222},
    choose="max",
    lines=[
        {"id": "a", "rate": "0.125", "cap": 333, "combined_rate_cap": "0.60", "combined_with": ["other"]},
        {"id": "b", "amount": 444},
        {"id": "c", "brackets": {"mode": "marginal", "table": [[555, "0.5"], [None, "0.25"]]}},
        {"id": "d", "derived_from": "other", "rate": "0.20", "when": ["applicant.year_compute_contracts", ">", 666]},
    ],
    caps=[
        {
            "window": "lifetime",
            "amount": 777,
            "soft": 666,
            "across": ["other"],
            "when": ["applicant.members", ">=", 3],
            "unless": ["applicant.sme", "!=", True],
        }
    ],
    floor=88,
    pool=[{"period": "2026", "amount": 999}],
    pool_short="queue",
    funding=[{"payer": "province", "share": "0.4"}, {"payer": "applicant.city", "share": "0.6"}],
    rounding={"to": 10, "mode": "half_up"},
    validity={"length": 3},
    redeem={"mode": "deduct", "max_share": "0.50"},
    automation="instant",
    notice={"min_working_days": 5},
    evidence=[{"doc": "发票"}],
)
OTHER = scheme(code="other", name={"zh": "另一券", "en": "Other voucher"})


def test_every_key_is_told():
    known = documents.catalogue([documents.load(FULL), documents.load(OTHER)])
    told = said(known["full"], "zh", catalogue=known)

    for sentence in (
        "发布单位：样例市科学技术局（样政规〔2026〕1号）。",
        "牵头单位：样例市财政局。",
        "配合单位：样例市数据局。",
        "资金级别：市。",
        "来源：样例文件。",
        "来源等级：已读官方全文。",
        "取代“old”。",
        "自 2026-01-01 起有效。",
        "支持供给方（服务的建设者）。",
        "不属于以下情形：申请人资质至少包括已备案大模型企业、“odd tag”中的一项。",
        "同一合同已获市、区县级财政补贴的，就高不重复，只补足差额。",
        "服务机构标准机架数不足 10 架。",
        "合同双方不得为关联方。",
        "计入补贴的费用：算力、“odd kind”。",
        "没有合同的“odd fact”。",
        "服务期：2026 年度。",
        "合同在 2026-01-02（含）以后签订。",
        "合同期不超过 12 个月。",
        "计入补贴的金额不低于 ¥1,000（含）。",
        "先使用免费的 7，超出部分的用量乘以单价为计入补贴的金额。",
        "第 1 档：按实际支付额的 12.5 % 支持，最高 ¥333，与《另一券》合计不超过实际支付额的 60 %。",
        "第 2 档：定额支持 ¥444。",
        "第 3 档：按实际支付额分段累进支持：不超过 ¥555 的 50 %，以上 25 %。",
        "第 4 档：当当年算力合同总额超过 ¥666 时，按《另一券》对同一合同实际支付额的 20 % 支持。",
        "同时符合多档的，按金额最高的一档支持。",
        "可支持金额低于 ¥88 的，不予支持。",
        "金额四舍五入到 ¥10 的整数倍。",
        "每份合同最多支持 1 次。",
        "最多支持 2 个周期。",
        "每次最多申领 ¥111 额度。",
        "持有的额度最多 ¥222。",
        "资金池 ¥999（2026 年度）。",
        "资金池余额不足时，排队等候。",
        "出资分担：省 40 %、申请人所在城市 60 %。",
        "即申即享。",
        "券有效期 3 个月。",
        "购买时直接抵扣。",
        "每笔账单最多抵扣 50 %。",
        "公示不少于 5 个工作日。",
        "申请时须提供：发票。",
    ):
        assert sentence in told.splitlines(), sentence
    cap = (
        "当核心成员人数不少于 3 时，累计最高 ¥777，一般不超过 ¥666，经批准方可突破，与《另一券》合并计算，"
        "但申请人不是中小企业的，可酌情突破，由主管部门人工决定。"
    )
    assert cap in told.splitlines()
    assert not has_raw_code(said(known["full"], "en", catalogue=known))


def test_a_plain_programme_reads_as_people_write_it():
    programme = documents.load(scheme(caps=[{"window": "year", "amount": 2000000}]))

    assert "按核定合同额的 30 % 支持。" in said(programme, "zh").splitlines()
    assert "每自然年最高 ¥2,000,000。" in said(programme, "zh").splitlines()
    assert "30 % of the approved contract amount." in said(programme, "en").splitlines()
    assert "At most ¥2,000,000 per calendar year." in said(programme, "en").splitlines()


def explained(decision, language):
    return [(step.outcome, step.text) for step in wording.explain(decision, language)]


def test_a_trace_is_told_step_by_step():
    programme = scheme(
        eligibility=["applicant.members", ">=", 3],
        lines=[{"id": "a", "when": ["applicant.tags", "has", "OPC"], "rate": "0.50"}, {"id": "b", "rate": "0.30"}],
        caps=[{"window": "year", "amount": 200}],
    )
    decision = decide(programme, asked(applicant={"members": 4}, history=[past(50)], pool=100))

    assert wording.headline(decision, "zh") == "准予支持 ¥100。"
    assert explained(decision, "zh") == [
        (Outcome.PASS, "申请人：符合申报条件；核心成员人数不少于 3（申请中为：4）。"),
        (Outcome.NOTE, "计入补贴的金额：算力 ¥1,000；金额 ¥1,000。"),
        (
            Outcome.UNKNOWN,
            "支持档次：第 1 档；50 %；条件未明，暂不计入；申请人资质包括一人公司（OPC）（未提供）。",
        ),
        (Outcome.PASS, "支持档次：第 2 档；30 %；金额 ¥300。"),
        (Outcome.PASS, "适用档次：按第 2 档；金额 ¥300。"),
        (Outcome.PASS, "上限：每自然年最高 ¥200，已使用 ¥50；金额因此减少；金额 ¥150。"),
        (Outcome.PASS, "资金池：余额 ¥100；金额 ¥100。"),
    ]


def test_a_refusal_says_which_fact_and_what_would_help():
    decision = decide(scheme(provider=["provider.pflops", ">=", 100]), asked(provider={"pflops": 80}))
    [ground] = wording.reasons(decision, "en")

    assert wording.headline(decision, "en") == "Refused."
    assert ground.message == "The provider does not meet the requirements."
    assert ground.remedy == "Choose a provider that meets the requirements."
    assert ground.details == ("the provider's computing power: at least 100 PFLOPS (the request says: 80 PFLOPS)",)


def test_a_request_for_facts_names_them():
    decision = decide(scheme(related_party="forbidden", provider=["provider.odd_fact", "=", True]), asked())

    assert wording.headline(decision, "zh") == "需要补充：服务机构的“odd fact”；合同双方是否为关联方。"
    assert wording.headline(decision, "en") == (
        "Please add: the provider's “odd fact”; whether the parties are related."
    )


@pytest.mark.parametrize(
    ("programme", "request_"),
    [
        (scheme(pool_short="queue"), asked(pool=1)),
        (scheme(pool_short="prorate"), asked(pool=1)),
        (scheme(rounding={"to": 7, "mode": "up"}), asked()),
        (scheme(double_subsidy="highest"), asked(history=[past(9, "q", contract="C1")])),
        (scheme(double_subsidy="highest"), asked(history=[past(900, "q", contract="C1")])),
        (scheme(floor=9), asked()),
        (scheme(floor=900), asked()),
        (scheme(cost={"free_quota": {"unit": "card_hours", "amount": 1}}), asked()),
        (scheme(cost={"free_quota": {"unit": "card_hours", "amount": 1}}), asked(usage={"card_hours": 2, "price": 3})),
        (scheme(lines=[{"id": "a", "brackets": {"mode": "whole", "table": [[None, "0.5"]]}}]), asked()),
        (scheme(lines=[{"id": "a", "brackets": {"mode": "marginal", "table": [[None, "0.5"]]}}]), asked()),
        (
            scheme(caps=[{"window": "year", "amount": 1, "when": ["applicant.type", "=", "team"]}]),
            asked(history=[past(1)]),
        ),
        (scheme(lines=[{"id": "a", "when": ["contract.x", "=", 1], "rate": "0.1"}]), asked(contract={"x": 2})),
        (scheme(cost={"include": ["corpus"]}), asked()),
        (scheme(), asked(applicant={"barred": True})),
        (scheme(eligibility={"not": ["applicant.odd_fact", "in", ["a_b", 1]]}), asked(applicant={"odd_fact": "a_b"})),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_step_is_told(programme, request_, language):
    decision = decide(programme, request_)
    told = [step.text for step in wording.explain(decision, language)]
    told += [detail for ground in wording.reasons(decision, language) for detail in ground.details]

    assert told
    assert not [text for text in told if has_raw_code(text)]
    if language == "en":
        assert not [text for text in told if re.search(r"[\u4e00-\u9fff]", text)]


def test_a_long_word_from_a_request_is_cut():
    programme = scheme(eligibility=["applicant.type", "=", "enterprise"])
    decision = decide(programme, asked(applicant={"type": "长" * 5000}))

    assert max(len(step.text) for step in wording.explain(decision, "zh")) < 200


def test_no_key_is_a_hidden_rule():
    """Leaving out any key of a file that has all of them changes what is told, in both languages."""
    from tests.vouchers.programmes.test_json_schema import EVERY_KEY

    regional = ("order", "region_quotas", "region_leftovers")
    together = {"order": regional, "region_quotas": regional}
    silent = {"code", "lines", "schema", "facts", "name"}
    for language in LANGUAGES:
        whole = said(documents.load(EVERY_KEY), language)
        for key in EVERY_KEY.keys() - silent:
            left = {name: value for name, value in EVERY_KEY.items() if name not in together.get(key, (key,))}
            assert said(documents.load(left), language) != whole, key


@pytest.mark.parametrize(
    ("changes", "zh", "en"),
    [
        ({"subject": ["compute", "corpus"]}, "支持的服务：算力、语料。", "Services supported: compute, corpora."),
        (
            {"purpose": ["contract.purpose", "=", "training"]},
            "用途为模型训练。",
            "The purpose is model training.",
        ),
        ({"channel": ["data_exchange"]}, "采购渠道限于：数据交易所。", "To be bought through: data exchange."),
        (
            {"applicant_kinds": ["enterprise", "maker"]},
            "创客无须具有法人资格。",
            "No legal personality is needed of: maker.",
        ),
        (
            {"applicant_kinds": [{"kind": "team", "when": ["applicant.members", ">=", 3]}]},
            "对团队的要求：核心成员人数不少于 3。",
            "Asked of a team: the number of core members: at least 3.",
        ),
        (
            {"related_party": {"mode": "forbidden", "tests": ["common_control"]}},
            "关联关系包括：受同一方控制。",
            "Related means: both are under common control.",
        ),
        (
            {"double_subsidy": {"mode": "forbidden", "same": "project"}},
            "同一项目已获其他财政补贴的，不再支持。",
            "A project that received other public money is not supported again.",
        ),
        (
            {"lines": [{"id": "a", "rate": "0.30", "rate_is_ceiling": True}]},
            "按不超过核定合同额的 30 % 支持。",
            "Up to 30 % of the approved contract amount.",
        ),
        (
            {"caps": [{"window": "cycle", "amount": 5, "scope": "group"}]},
            "每个支持周期最高 ¥5，同一集团的企业合并计算。",
            "At most ¥5 per support cycle, companies of one group are counted together.",
        ),
        (
            {"max_cycles": {"total": 3, "consecutive": 2}},
            "最多连续支持 2 个周期。",
            "At most 2 support cycles in a row.",
        ),
        ({"count": {"per_year": 1}}, "每年最多支持 1 次。", "Supported at most 1 time a year."),
        (
            {"pool": [{"period": "year", "amount": 250000000, "admin_cost_in": False}]},
            "资金池 ¥250,000,000（每年）。",
            "Pool ¥250,000,000 (a year).",
        ),
        (
            {"cost": {"period": {"from": "2025-01-01", "to": "2025-12-31"}}},
            "服务期在 2025-01-01 至 2025-12-31 之间（含首尾两日）。",
            "The service is rendered from 2025-01-01 to 2025-12-31, both days included.",
        ),
        (
            {"windows": [{"from": "2025-04-17", "to": "2025-05-15T17:00"}, {"from": "2026-04-01", "to": "2026-04-30"}]},
            "受理期：2025-04-17 – 2025-05-15 17:00。",
            "Applications are taken: 2026-04-01 – 2026-04-30.",
        ),
        (
            {
                "workflow": [
                    {"stage": "初审", "level": "district", "sla_days": 5},
                    {"stage": "审批", "role": "approver"},
                ]
            },
            "第 1 环节“初审”：区县级审核人初审，5 个工作日内。",
            "Stage 1, first check: first check by reviewer at district level, within 5 working days.",
        ),
        (
            {"evidence": [{"doc": "发票", "stage": "claim", "check": "付款人为申请人"}]},
            "兑付时须提供：发票（核对：付款人为申请人）。",
            "To bring with the claim: invoice (to check: the payer is the applicant).",
        ),
        (
            {"evidence": [{"doc": "模型备案号", "required_when": ["contract.use", "=", "maas_filed_model"]}]},
            "当使用方式为基于备案模型的 MaaS 或智能体服务时，申请时须提供：模型备案号。",
            "Where the kind of use is MaaS or agents on a filed model, with the application: filing number of the model.",
        ),
        (
            {"redeem": {"mode": "reimburse", "cadence": "quarter"}},
            "由申请人申请兑付，款项拨付给申请人。",
            "Claims are paid once a quarter.",
        ),
        (
            {"validity": {"length": 3, "on_expiry": "carry", "grace": 1, "roll_forward": True}},
            "到期未用的额度结转下一年度。",
            "Orders placed in time may be claimed for 1 more month.",
        ),
        (
            {"sanctions": [{"breach": "审计或评审失实", "recover": True, "bar_years": 3, "party": "agency"}]},
            "第三方机构审计或评审失实的：追回资金、3 年内不得申报。",
            "Where the agency is found in breach (false audit or review): the money is recovered, barred for 3 years.",
        ),
        (
            {"voucher": {"unit": "card_hours", "face_values": [50, 100]}},
            "券以卡时计。",
            "Face values: 50 card-hours, 100 card-hours.",
        ),
        (
            {"order": "region_quota", "region_quotas": {"杭州": "0.6", "宁波": "0.4"}},
            "地区额度：杭州 60 %、宁波 40 %。",
            "Quotas: Hangzhou 60 %, Ningbo 40 %.",
        ),
        (
            {"order": "region_quota", "region_quotas": {"杭州": "1"}, "region_leftovers": "share"},
            "地区未用完的额度，按提交先后支持其他地区未获支持的申请。",
            "What a region does not use serves, in order of submission, applications their own region could not serve.",
        ),
    ],
)
def test_keys_in_both_languages(changes, zh, en):
    programme = documents.load(scheme(**changes))
    assert zh in said(programme, "zh-hans").splitlines()
    assert en in said(programme, "en").splitlines()
