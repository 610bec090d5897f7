"""The life of an award in plain words: intake, review, notice, voucher, redemption, audit, sanctions. Pure.

Only what a file states is told; what it leaves to its default is the portal's ordinary way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from portal.kernel.money import Money
from vouchers.programmes import names, phrases
from vouchers.programmes.conditions import join, where
from vouchers.programmes.options import OPTIONS
from vouchers.programmes.terms import (
    AuditTerms,
    Automation,
    AwardOrder,
    Cadence,
    EvidenceTerm,
    InvoiceScope,
    Leftovers,
    Redeem,
    RedeemMode,
    Sanction,
    Stage,
    Terms,
    Validity,
    VoucherForm,
)
from vouchers.programmes.words import Words, plural

__all__ = ["control", "intake", "use"]

W = Words

AUTOMATION: Final = {
    Automation.NONE: W("须提出申请", "An application is needed"),
    Automation.NO_APPLICATION: W("免申即享", "No application is needed"),
    Automation.INSTANT: W("即申即享", "Enjoyed at once on application"),
}
ORDERS: Final = {
    AwardOrder.FIRST_COME: W("按提交先后顺序支持，用完为止", "First come, first served until the money is used up"),
    AwardOrder.ALL_THEN_PRORATE: W(
        "受理截止后统一核定，资金不足时按比例分配",
        "All are decided after the deadline; if money is short it is shared in proportion",
    ),
    AwardOrder.RANKED: W("受理截止后按评审得分择优支持", "After the deadline the best scores are supported first"),
    AwardOrder.LOTTERY: W("受理截止后公开抽签", "After the deadline lots are drawn in public"),
    AwardOrder.REGION_QUOTA: W("按地区额度支持", "Each region has a quota"),
}
LEFTOVERS: Final = {
    Leftovers.STAY: W("地区未用完的额度留在资金池", "What a region does not use stays in the pool"),
    Leftovers.SHARE: W(
        "地区未用完的额度，按提交先后支持其他地区未获支持的申请",
        "What a region does not use serves, in order of submission, applications their own region could not serve",
    ),
}
ROLES: Final = {
    "reviewer": W("审核人", "reviewer"),
    "expert": W("专家", "expert"),
    "approver": W("审批人", "approver"),
    "collective": W("集体决策", "collective decision"),
}
ACTIONS: Final = OPTIONS["workflow.action"]
PARTIES: Final = {
    "applicant": W("申请人", "the applicant"),
    "provider": W("服务机构", "the provider"),
    "agency": W("第三方机构", "the agency"),
}
STAGES: Final = OPTIONS["evidence.stage"]
NOTICE_FIELDS: Final = OPTIONS["notice.fields"]


def intake(terms: Terms) -> list[Words]:
    """Return when applications are taken, in which order they are served, who reviews them, what must be brought."""
    said: list[Words] = []
    for window in terms.windows:
        about = phrases.phrase(window.note)
        note = W(f"（{about.zh}）", f" ({about.en})") if window.note else W("", "")
        period = W("受理期：%(period)s%(note)s", "Applications are taken: %(period)s%(note)s")
        said.append(period.fill(period=window.said(), note=note))
    if "automation" in terms.stated:
        said.append(AUTOMATION[terms.automation])
    if "order" in terms.stated:
        said.append(ORDERS[terms.order])
    if terms.region_quotas:
        quotas = join(_quota(region, names.percent(share)) for region, share in terms.region_quotas.items())
        said.append(W("地区额度：%(quotas)s", "Quotas: %(quotas)s").fill(quotas=quotas))
        said.append(LEFTOVERS[terms.region_leftovers])
    said += [_stage(number, stage) for number, stage in enumerate(terms.workflow, 1)]
    said += _days(terms)
    said += _evidence(item for item in terms.evidence if item.stage in ("application", "contract", "onboarding"))
    return said


def _quota(region: str, share: str) -> Words:
    place = names.value(region)
    return W(f"{place.zh} {share}", f"{place.en} {share}")


def _stage(number: int, stage: Stage) -> Words:
    name = phrases.phrase(stage.stage)
    level = names.value(stage.level) if stage.level else W("", "")
    said = [
        W(
            f"第 {number} 环节“{name.zh}”：{level.zh}{'级' if level.zh else ''}{ROLES[stage.role].zh}{ACTIONS[stage.action].zh}",
            f"Stage {number}, {name.en}: {ACTIONS[stage.action].en} by "
            f"{ROLES[stage.role].en}{f' at {level.en} level' if level.en else ''}",
        )
    ]
    if stage.sla_days is not None:
        said.append(W(f"{stage.sla_days} 个工作日内", f"within {plural(stage.sla_days, 'working day')}"))
    if stage.quorum > 1:
        said.append(W(f"至少 {stage.quorum} 人", f"at least {stage.quorum} people"))
    if stage.returns_to:
        back = phrases.phrase(stage.returns_to)
        said.append(W(f"可退回“{back.zh}”", f"may be returned to {back.en}"))
    return join(said, "，", ", ")


def _days(terms: Terms) -> list[Words]:
    said = []
    if "supplement_days" in terms.stated:
        days = terms.supplement_days
        said.append(
            W(
                f"补正材料的期限为 {days} 个工作日",
                f"Missing material is to be brought within {plural(days, 'working day')}",
            )
        )
    if "appeal_days" in terms.stated:
        days = terms.appeal_days
        said.append(
            W(
                f"对决定不服的，{days} 个工作日内可申请复核",
                f"A decision may be appealed within {plural(days, 'working day')}",
            )
            if days
            else W("决定不受理复核", "Decisions cannot be appealed")
        )
    return said


def _evidence(items: Iterable[EvidenceTerm]) -> list[Words]:
    """Return what must be brought, one sentence for each stage, documents needed on a condition on their own."""
    always: dict[str, list[Words]] = {}
    others: list[Words] = []
    for item in items:
        document = phrases.phrase(item.doc)
        if item.check:
            check = phrases.phrase(item.check)
            document = W(f"{document.zh}（核对：{check.zh}）", f"{document.en} (to check: {check.en})")
        if item.required_when is None:
            always.setdefault(item.stage, []).append(document)
        else:
            opening, stage = where(item.required_when), STAGES[item.stage]
            others.append(
                W(f"{opening.zh}，{stage.zh}须提供：{document.zh}", f"{opening.en}, {stage.en}: {document.en}")
            )
    said = []
    for when, documents in always.items():
        listed = join(documents)
        said.append(W(f"{STAGES[when].zh}须提供：{listed.zh}", f"To bring {STAGES[when].en}: {listed.en}"))
    return [*said, *others]


REDEMPTIONS: Final = {
    RedeemMode.DEDUCT: W("购买时直接抵扣", "The voucher is deducted at purchase"),
    RedeemMode.REIMBURSE: W("先付款，后兑付", "The buyer pays first and is reimbursed"),
    RedeemMode.AWARD: W("以奖补方式发放", "Paid as an award"),
}
CADENCES: Final = {
    Cadence.ON_CLAIM: W("随时兑付", "Accepted claims are paid at once"),
    Cadence.MONTH: W("每月集中兑付", "Claims are paid once a month"),
    Cadence.QUARTER: W("每季度集中兑付", "Claims are paid once a quarter"),
    Cadence.YEAR: W("每年集中兑付", "Claims are paid once a year"),
    Cadence.BATCH: W("按批次集中兑付", "Claims are paid in batches"),
}


def use(terms: Terms) -> list[Words]:
    """Return what is held, for how long, and how it turns into money."""
    said = _form(terms.voucher, terms.stated)
    said += _validity(terms.validity)
    if "redeem" in terms.stated:
        said += _redeem(terms.redeem)
    return said + _evidence(item for item in terms.evidence if item.stage in ("delivery", "claim"))


def _form(form: VoucherForm, stated: frozenset[str]) -> list[Words]:
    if "voucher" not in stated:
        return []
    unit = names.unit(form.unit)
    said = [W("券以%(unit)s计", "Vouchers are held in %(unit)s").fill(unit=unit)]
    if form.face_values:
        values = join(_face(value, form.unit) for value in form.face_values)
        said.append(W(f"面额：{values.zh}", f"Face values: {values.en}"))
    said.append(
        W("可分次使用", "May be used in parts") if form.multi_use else W("一次性使用", "Must be used in one purchase")
    )
    return [*said, W("不得转让", "Not transferable")]


def _face(value: Money, unit: str) -> Words:
    if unit == "CNY":
        return W(names.money(value), names.money(value))
    count, called = value.yuan().removesuffix(".00"), names.unit(unit)
    return W(f"{count} {called.zh}", f"{count} {called.en}")


def _validity(validity: Validity) -> list[Words]:
    said = []
    if months := validity.length:
        said.append(
            W(f"券有效期 {months} 个月", f"A voucher is valid for {plural(months, 'month')}")
            if validity.starts == "issue"
            else W(
                f"券自合同签订起 {months} 个月有效",
                f"A voucher is valid for {plural(months, 'month')} from the contract",
            )
        )
    if validity.on_expiry == "carry":
        said.append(W("到期未用的额度结转下一年度", "What is unused at the end is carried into the next year"))
    elif months:
        said.append(W("到期未用的额度收回资金池", "What is unused at the end returns to the pool"))
    if grace := validity.grace:
        said.append(
            W(
                f"有效期内下单的，到期后 {grace} 个月内仍可兑付",
                f"Orders placed in time may be claimed for {grace} more {'month' if grace == 1 else 'months'}",
            )
        )
    if validity.roll_forward:
        said.append(
            W("期满日为休息日的，顺延至下一工作日", "A last day that is no working day moves to the next working day")
        )
    return said


def _redeem(redeem: Redeem) -> list[Words]:
    said = [
        REDEMPTIONS[redeem.mode],
        W("由%(claimant)s申请兑付，款项拨付给%(payee)s", "%(claimant)s claims, %(payee)s is paid").fill(
            claimant=PARTIES[redeem.claimant], payee=PARTIES[redeem.payee]
        ),
        CADENCES[redeem.cadence],
    ]
    if redeem.max_share is not None:
        share = names.percent(redeem.max_share)
        said.append(W(f"每笔账单最多抵扣 {share}", f"At most {share} of one bill"))
    if redeem.invoice is InvoiceScope.WHOLE:
        said.append(W("发票按自付和券抵扣部分开具", "The tax invoice covers the own share and what the voucher pays"))
    return said


def control(terms: Terms) -> list[Words]:
    """Return the public notice, audits, sanctions, what stays confidential and what is measured."""
    said = []
    if days := terms.notice.min_working_days:
        said.append(W(f"公示不少于 {days} 个工作日", f"Public notice of at least {plural(days, 'working day')}"))
    if terms.notice.fields:
        fields = join(NOTICE_FIELDS[name] for name in terms.notice.fields)
        said.append(W("公示内容：%(fields)s", "The notice shows: %(fields)s").fill(fields=fields))
    if terms.notice.objection_to:
        to = phrases.phrase(terms.notice.objection_to)
        said.append(W("异议向%(to)s提出", "Objections go to %(to)s").fill(to=to))
    if terms.confidential_fields:
        hidden = join(_field(name) for name in terms.confidential_fields)
        said.append(W("不公开：%(hidden)s", "Not made public: %(hidden)s").fill(hidden=hidden))
    said += _audit(terms.audit)
    said += [_sanction(sanction) for sanction in terms.sanctions]
    if terms.metrics:
        measured = join(phrases.phrase(metric) for metric in terms.metrics)
        said.append(W("绩效指标：%(measured)s", "Measured by: %(measured)s").fill(measured=measured))
    return said


def _field(name: str) -> Words:
    known: Mapping[str, Words] = NOTICE_FIELDS
    return known.get(name) or phrases.phrase(name)


def _audit(audit: AuditTerms) -> list[Words]:
    said = []
    if audit.sample_rate:
        share = names.percent(audit.sample_rate)
        said.append(W(f"兑付申请抽查比例 {share}", f"{share} of claims are drawn for a check"))
    if audit.third_party:
        said.append(W("由第三方审核", "Checked by a third party"))
    if audit.on_site:
        said.append(W("进行现场核查", "Checked on site"))
    return said


def _sanction(sanction: Sanction) -> Words:
    party, breach = PARTIES[sanction.party], phrases.phrase(sanction.breach)
    follows = []
    if sanction.recover:
        follows.append(W("追回资金", "the money is recovered"))
    if sanction.bar_years:
        years = sanction.bar_years
        follows.append(W(f"{years} 年内不得申报", f"barred for {plural(years, 'year')}"))
    if sanction.publish:
        follows.append(W("予以公布", "the case is published"))
    if not follows:
        follows.append(W("依法追究责任", "liability under the law"))
    return W("%(party)s%(breach)s的：%(follows)s", "Where %(party)s is found in breach (%(breach)s): %(follows)s").fill(
        party=party, breach=breach, follows=join(follows)
    )
