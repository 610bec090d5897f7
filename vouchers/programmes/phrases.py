"""Short texts that programme files use again and again (documents, stages, breaches), with their English.

A text that is not here is shown as it stands in the file, in both languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vouchers.programmes.words import Words

__all__ = ["PHRASES", "phrase"]

PHRASES: Final[Mapping[str, str]] = {
    # documents
    "营业执照": "business licence",
    "营业执照或身份证": "business licence or identity card",
    "服务合同": "service contract",
    "载明抵扣金额的服务合同": "service contract naming the voucher amount",
    "非关联关系声明": "statement that the parties are not related",
    "真实性承诺书": "undertaking that all is true",
    "模型备案号": "filing number of the model",
    "研发投入数据": "research and development spending",
    "发票": "invoice",
    "银行付款回单": "bank receipt",
    "交付凭证": "delivery certificate",
    "算力使用日志": "compute usage log",
    "算力使用证明": "compute usage certificate",
    "双方确认的结算单": "statement signed by both sides",
    "结算申请表": "claim form",
    "模型调用账单和用量记录": "API bill with the usage record",
    "数据交易凭证": "certificate of the data exchange",
    "许可条款": "licence terms",
    "服务成果": "result of the service",
    "项目任务书": "project agreement",
    "孵化器入驻证明": "proof of a place in an incubator",
    "税务和社保证明": "proof of tax and social insurance",
    "产品目录和报价": "products and quotation",
    "标准合同文本": "standard contract",
    "服务承诺书": "service commitment",
    "近两年服务案例证明": "proof of customers of two years",
    "绿色算力证明": "proof of green compute",
    "绩效自评报告": "self-evaluation",
    "获得市级支持的证明": "proof of the city's payment",
    "各项明细之和等于申请金额": "the lines add up to the amount claimed",
    "付款人为申请人": "the payer is the applicant",
    "日志摘要与账单一致": "the log matches the bill",
    # stages
    "受理": "intake",
    "初审": "first check",
    "区级初审": "district check",
    "市级复核": "city check",
    "运营机构审核": "operator's check",
    "创新中心汇总": "compilation by the innovation centre",
    "服务中心审核": "check by the service centre",
    "专家评审": "expert review",
    "第三方审核": "third-party audit",
    "部门复核": "department check",
    "财政审核": "treasury check",
    "集体决策": "collective decision",
    "审批": "approval",
    "审定": "decision",
    # breaches
    "弄虚作假骗取资金": "obtaining money by fraud",
    "提供虚假材料": "false material",
    "串通套取资金": "collusion to obtain money",
    "审计或评审失实": "false audit or review",
    "转让或出售券": "passing on or selling a voucher",
    # to whom, measured by
    "主管部门": "the department in charge",
    "兑付率": "redemption rate",
    "核销率": "write-off rate",
    "支持企业数": "firms supported",
    "资金执行率": "share of the budget paid",
    "全市人工智能算力服务机构名录": "the city's roster of compute providers",
    "创新券服务机构名录": "the roster of innovation-voucher providers",
    "项目名称": "title of the project",
    # windows
    "按年度申报通知": "by yearly call",
    "2024 年度": "for 2024",
    "2025 年度": "for 2025",
    "2026 年度": "for 2026",
    "每年一次": "once a year",
}


def phrase(text: str) -> Words:
    """Return a text of a file in both languages."""
    return Words(text, PHRASES.get(text, text))
