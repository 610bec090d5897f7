"""What the demo province sells beside time and cards, and some orders at every stage of their way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from portal.demo.activity import BEIJING, Story
from portal.kernel.actors import Actor
from portal.kernel.money import Money
from vouchers.charges.prices import Line, PriceItem, PriceUnit, Tier, Tiering
from vouchers.evidence.services import Upload
from vouchers.issuance import facts, reviewing
from vouchers.issuance import services as issuance
from vouchers.offers import disputes, importing, orders, rules, services, usage
from vouchers.offers.models import Offer, Order
from vouchers.wallets.models import Voucher

__all__ = ["buy", "sell"]

PROOF = Upload("交付清单.pdf", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n")


def _item(
    code: str, name: str, name_en: str, unit: PriceUnit, *tiers: tuple[str, int | None], **more: object
) -> PriceItem:
    """Return a price item; tiers as yuan and upper end."""
    made = tuple(Tier(Fraction(yuan) * 100, None if top is None else Fraction(top)) for yuan, top in tiers)
    return PriceItem(code=code, name=name, name_en=name_en, unit=unit, tiers=made, **more)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Good:
    """One thing sold: whose it is, what is said of it, what it costs."""

    key: str
    lab: str
    values: services.OfferValues
    items: tuple[PriceItem, ...]


RESEARCH = "仅限购买单位内部研发与模型训练使用，不得转售或公开原始数据，永久有效。"
METERED = "按实际调用量计费，不得转售接口或共享密钥；输入内容不用于训练。"
WORK = "成果归购买单位所有；提供单位可保留通用方法，保密期三年。"


def _said(
    kind: str, titles: tuple[str, str], texts: tuple[str, str], licence: str, delivery: str
) -> services.OfferValues:
    return services.OfferValues(
        kind=kind,
        title=titles[0],
        title_en=titles[1],
        description=texts[0],
        description_en=texts[1],
        licence=licence,
        filing_number="",
        delivery=delivery,
        channel="direct",
        acceptance_days=7,
    )


GOODS: tuple[Good, ...] = (
    Good(
        "wenyu",
        "zhisuan",
        replace(
            _said(
                "model_api",
                ("文语大模型接口", "Wenyu large-model API"),
                (
                    "通用中文大模型，上下文 128K，按词元计费。提供兼容接口、调用日志和每日账单。",
                    "General Chinese model, 128K context, billed by tokens, with logs and daily bills.",
                ),
                METERED,
                "api",
            ),
            filing_number="ZheJiang-WenYu-202503180012",
        ),
        (
            _item(
                "in",
                "输入词元",
                "Input tokens",
                PriceUnit.MILLION_TOKENS,
                ("4", 500),
                ("3.2", None),
                tiering=Tiering.MARGINAL,
            ),
            _item(
                "out",
                "输出词元",
                "Output tokens",
                PriceUnit.MILLION_TOKENS,
                ("12", 500),
                ("9.6", None),
                tiering=Tiering.MARGINAL,
            ),
        ),
    ),
    Good(
        "private",
        "zhisuan",
        replace(
            _said(
                "model_private",
                ("文语大模型私有化部署", "Wenyu model, private deployment"),
                (
                    "在企业自有机房部署 32B 模型，含安装、调优和一年维护。",
                    "A 32B model on your own servers, with set-up, tuning and one year of maintenance.",
                ),
                WORK,
                "deployment",
            ),
            filing_number="ZheJiang-WenYu-202503180012",
            acceptance_days=15,
        ),
        (_item("set", "部署与一年维护", "Deployment and one year", PriceUnit.PROJECT, ("180000", None)),),
    ),
    Good(
        "agent",
        "zhisuan",
        _said(
            "agent_service",
            ("客服智能体开发", "Customer-service agent"),
            (
                "按企业知识库开发问答智能体，接入工单系统，交付源码与测试报告。",
                "An agent on your knowledge base, tied to your ticket system; source and test report included.",
            ),
            WORK,
            "deployment",
        ),
        (
            _item("base", "基础开发", "Base development", PriceUnit.PROJECT, ("60000", None)),
            _item("skill", "扩展技能", "Further skill", PriceUnit.ITEM, ("8000", 3), ("6500", None)),
        ),
    ),
    Good(
        "marine",
        "haishu",
        replace(
            _said(
                "corpus",
                ("东海海洋气象问答语料", "East China Sea weather Q&A corpus"),
                (
                    "三十万条经气象专家校对的问答，覆盖航运、渔业与风电场景。经数据交易所成交。",
                    "300,000 questions and answers checked by meteorologists, for shipping, fishing and wind power.",
                ),
                RESEARCH,
                "download",
            ),
            channel="data_exchange",
        ),
        (
            _item(
                "record", "问答语料", "Q&A records", PriceUnit.RECORD, ("0.60", 50000), ("0.45", 200000), ("0.30", None)
            ),
        ),
    ),
    Good(
        "spectra",
        "xixi",
        _said(
            "corpus",
            ("材料谱图标注语料", "Annotated material spectra"),
            (
                "拉曼、红外与质谱谱图及专家标注，可用于谱图识别模型训练；前 500 条免费试用。",
                "Raman, infrared and mass spectra with expert annotation; the first 500 are free.",
            ),
            RESEARCH,
            "download",
        ),
        (
            _item(
                "spectrum",
                "标注谱图",
                "Annotated spectra",
                PriceUnit.RECORD,
                ("1.80", 10000),
                ("1.20", None),
                free=Fraction(500),
            ),
        ),
    ),
    Good(
        "metrology",
        "nanhu",
        _said(
            "data_product",
            ("精密零件测量数据产品", "Precision-part measurement data"),
            (
                "两万件精密零件的三坐标测量数据与公差分析，按批次更新。",
                "Coordinate measurements and tolerance analysis of 20,000 precision parts, updated in batches.",
            ),
            RESEARCH,
            "api",
        ),
        (_item("mb", "数据下载", "Data download", PriceUnit.MB, ("2.50", None), minimum=Money(20000), started=True),),
    ),
    Good(
        "microscopy",
        "qianjiang",
        replace(
            _said(
                "rd_service",
                ("电镜图像分析与表征服务", "Electron-microscopy analysis"),
                (
                    "样品制备、拍摄与图像定量分析，出具盖章报告。",
                    "Sample preparation, imaging and quantitative analysis, with a stamped report.",
                ),
                WORK,
                "on_site",
            ),
            prepay_days=7,
        ),
        (
            _item("sample", "样品分析", "Sample analysis", PriceUnit.ITEM, ("1500", 10), ("1200", None)),
            _item("report", "综合报告", "Comprehensive report", PriceUnit.PROJECT, ("3000", None)),
        ),
    ),
    Good(
        "failure",
        "jinghu",
        _said(
            "rd_service",
            ("芯片失效分析研发服务", "Chip failure analysis"),
            (
                "从电性定位到截面分析的全流程失效分析，十五个工作日出报告。",
                "Failure analysis from electrical localisation to cross-section; report in fifteen working days.",
            ),
            WORK,
            "on_site",
        ),
        (_item("case", "失效分析", "Failure analysis", PriceUnit.PROJECT, ("12000", None)),),
    ),
)


def sell(story: Story) -> dict[str, Offer]:
    """Enter, price and publish what is sold, each as its own provider; leave one draft."""
    then = story.now - timedelta(days=48)
    made = {}
    for good in GOODS:
        actor = _clerk(story, good.lab)
        offer = services.create_offer(actor=actor, values=good.values, now=then)
        services.publish_prices(actor=actor, offer=offer, items=good.items, effective_from=then, now=then)
        made[good.key] = services.change_state(actor=actor, offer=offer, action=rules.OfferAction.PUBLISH, now=then)
    draft = replace(GOODS[6].values, title="冷冻电镜结构解析服务", title_en="Cryo-EM structure determination")
    services.create_offer(actor=_clerk(story, "qianjiang"), values=draft, now=story.now)
    return made


def _clerk(story: Story, key: str) -> Actor:
    return story.people.actors[f"clerk-{key}"]


def _model_voucher(story: Story) -> Voucher:
    """Give Xinghe a model voucher, decided by two people."""
    then = story.now - timedelta(days=30)
    wanted = issuance.Wanted(
        version=story.programmes["zj-model-2026"],
        contract=facts.Contract(
            number="XINGHE-2026-MX01",
            provider=story.people.organisations["zhisuan"].name,
            signed=(then - timedelta(days=10)).astimezone(BEIJING).date(),
            months=12,
            items={"model_api": Money.from_yuan("300000")},
            related=False,
        ),
        stated={"contract.model_filed": True},
    )
    case = issuance.submit(actor=story.people.actors["qiye"], wanted=wanted, now=then, key=story.key())
    for name, days in (("chushen", 1), ("shenpi", 2)):
        case = reviewing.pass_stage(
            actor=story.people.actors[name],
            application=case,
            verdict=reviewing.Verdict(),
            now=then + timedelta(days=days),
        )
    return Voucher.objects.get(application=case)


@dataclass(frozen=True, slots=True)
class Asked:
    """One order: who, what, how much, what for, how many days ago."""

    firm: str
    offer: Offer
    lines: tuple[tuple[str, str], ...]
    purpose: str
    days: int
    vouchers: tuple[Voucher, ...] = ()


def _order(story: Story, asked: Asked) -> Order:
    return orders.place(
        actor=_clerk(story, asked.firm),
        wanted=orders.Wanted(
            offer=asked.offer,
            lines=[Line(code, Fraction(quantity)) for code, quantity in asked.lines],
            purpose=asked.purpose,
            related=False,
            vouchers=asked.vouchers,
        ),
        now=story.now - timedelta(days=asked.days),
        key=story.key(),
    )


def _delivering(order: Order, *, by: Actor, at: datetime) -> None:
    orders.accept(actor=by, order=order, now=at)
    orders.begin(actor=by, order=order, now=at + timedelta(hours=2))


def _delivered(order: Order, *, by: Actor, at: datetime) -> None:
    _delivering(order, by=by, at=at)
    orders.add_file(actor=by, order=order, purpose="delivery_proof", upload=PROOF, now=at + timedelta(hours=3))
    orders.deliver(actor=by, order=order, now=at + timedelta(days=1))


def buy(story: Story, goods: dict[str, Offer]) -> None:
    """Place orders: one used by the day and paid with a voucher, one to accept, one disputed, one done, two waiting, of which
    one for its own share in advance.
    """
    model = _order(
        story,
        Asked(
            "xinghe",
            goods["wenyu"],
            (("in", "800"), ("out", "200")),
            "客服问答与质检报告生成",
            14,
            (_model_voucher(story),),
        ),
    )
    maker = _clerk(story, "zhisuan")
    _delivering(model, by=maker, at=story.now - timedelta(days=13))
    _use(story, model, by=maker)
    spectra = _order(story, Asked("xinghe", goods["spectra"], (("spectrum", "6000"),), "谱图识别模型训练", 6))
    _delivered(spectra, by=_clerk(story, "xixi"), at=story.now - timedelta(days=5))
    done = _order(story, Asked("xinghe", goods["metrology"], (("mb", "320.5"),), "公差预测模型", 25))
    _delivered(done, by=_clerk(story, "nanhu"), at=story.now - timedelta(days=24))
    orders.approve(actor=_clerk(story, "xinghe"), order=done, now=story.now - timedelta(days=21))
    bad = _order(story, Asked("ruian", goods["spectra"], (("spectrum", "2000"),), "药物谱图比对", 9))
    _delivered(bad, by=_clerk(story, "xixi"), at=story.now - timedelta(days=8))
    disputes.dispute(
        actor=_clerk(story, "ruian"),
        order=bad,
        note="质谱部分缺少 120 条标注，请补齐。",
        now=story.now - timedelta(days=2),
    )
    _order(story, Asked("xinghe", goods["microscopy"], (("sample", "6"), ("report", "1")), "电池隔膜形貌分析", 1))
    _order(story, Asked("lanting", goods["agent"], (("base", "1"), ("skill", "2")), "设计规范问答", 1))


def _use(story: Story, order: Order, *, by: Actor) -> None:
    """Send twelve days of usage lines, as the provider's own system would."""
    lines: list[usage.UsageValue] = []
    for back in range(12, 0, -1):
        day = (story.now - timedelta(days=back)).astimezone(BEIJING).date()
        share = 1 if day.weekday() < 5 else 3
        for code, most in (("in", 52), ("out", 13)):
            quantity = Fraction(story.dice.randrange(most * 500, most * 1000), 1000 * share)
            micro = Fraction(int(quantity * 1_000_000), 1_000_000)
            lines.append(
                usage.UsageValue(
                    row=len(lines) + 1,
                    day=day,
                    reference=f"{day:%Y%m%d}-{code}",
                    code=code,
                    quantity=micro,
                    model="wenyu-72b",
                    tokens_in=int(micro * 1_000_000) if code == "in" else None,
                    tokens_out=int(micro * 1_000_000) if code == "out" else None,
                )
            )
    importing.import_lines(actor=by, order=order, lines=lines, now=story.now)
