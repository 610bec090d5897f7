"""The form that submits a job: its fields, in order, and which of them a visit offers."""

from __future__ import annotations

from typing import Any, Protocol

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.pages import purses
from portal.pages.jobfiles import Attached
from scheduler.jobs.directives import OPTIONAL

__all__ = ["JobForm"]


NO_NUL = {"null_characters_not_allowed": _("不能含有空字符（NUL）。请删去后再提交。")}


class Offering(Protocol):
    """What a visit offers the form to choose from."""

    files: list[tuple[str, str]]
    purses: Any

    @property
    def offered(self) -> frozenset[str]: ...

    def options(self) -> list[tuple[str, str]]: ...


class JobForm(forms.Form):
    """What a job asks for, as people type it. Whether it suits is the domain's to say, with its reasons."""

    partition = forms.ChoiceField(
        label=_("分区"), error_messages={"invalid_choice": _("没有分区“%(value)s”，请从列表中选择。")}
    )
    title = forms.CharField(
        label=_("作业名称"),
        max_length=120,
        help_text=_("仅贵单位可见，集群管理员看不到名称和脚本。"),
        error_messages={
            **NO_NUL,
            **dict.fromkeys(("required", "max_length"), _("请填写作业名称（120 字以内），仅贵单位可见。")),
        },
    )
    cards = forms.IntegerField(label=_("加速卡"), help_text=_("作业在一个节点上运行。"))
    cpus = forms.IntegerField(label=_("CPU 核数"), required=False, help_text=_("留空按每卡的标准核数。"))
    memory_mb = forms.IntegerField(label=_("内存"), help_text=_("整个作业的内存，不按卡计。"))
    time_limit_min = forms.IntegerField(label=_("时限"), help_text=_("到时限会被停止；提前结束只收实际用量。"))
    voucher = purses.PayWith()
    more = purses.MoreVouchers()
    shorten = forms.BooleanField(
        label=_("余额不够时，缩短到余额够付的时限"),
        required=False,
        help_text=_("不勾选则按填写的时限提交；券不够时请换券、加券或自付。"),
    )
    array = forms.CharField(
        label=_("任务编号"),
        error_messages=NO_NUL,
        required=False,
        max_length=200,
        help_text=_("如 0-9 或 1,3,7：每个任务各用一份资源和时限，按任务数冻结。"),
    )
    after = forms.CharField(
        label=_("等这些作业成功后再开始"),
        error_messages=NO_NUL,
        required=False,
        max_length=500,
        help_text=_("填作业号，用逗号隔开。其中一个失败，本作业就取消。"),
    )
    requeue = forms.BooleanField(
        label=_("节点故障后允许重新运行"), required=False, help_text=_("每次运行分别计费，集群故障的那次不收费。")
    )
    environment = forms.CharField(
        label=_("环境变量"),
        error_messages=NO_NUL,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "code", "spellcheck": "false", "autocomplete": "off"}),
        help_text=_("每行一个，如 EPOCHS=10。密钥请放在文件里。"),
    )
    script = forms.Field(
        label=_("脚本"),
        required=False,
        widget=forms.Textarea(
            attrs={"rows": 16, "class": "code", "spellcheck": "false", "autocapitalize": "off", "autocomplete": "off"}
        ),
        help_text=_("第一行写解释器，如 #!/bin/bash。可粘贴 sbatch 脚本：其中的 #SBATCH 行会与表单逐项核对。"),
    )
    script_file = forms.FileField(
        label=_("或上传脚本文件"),
        required=False,
        allow_empty_file=True,
        help_text=_("UTF-8 文本，不超过 1 MB；上传后替换上面的内容。"),
        widget=forms.FileInput(attrs={"accept": ".sh,.bash,.py,text/plain"}),
    )

    attached = Attached(
        label=_("附带文件"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("以自己的名称放在作业目录下；密钥只能用于一个作业。"),
        error_messages={"invalid_choice": _("文件已删除或已用过，请重新选择。")},
    )

    def __init__(self, *args: Any, desk: Offering, **more: Any) -> None:
        super().__init__(*args, **more)
        files = self.fields["attached"]
        assert isinstance(files, Attached)
        files.offer(desk.files, self["attached"].value() or ())
        field = self.fields["partition"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = desk.options()
        purses.offer_all(self, desk.purses)
        for name in OPTIONAL - desk.offered:
            del self.fields[name]

    @property
    def sized(self) -> bool:
        """Say whether enough is known to price the job."""
        return all(name in self.cleaned_data for name in ("partition", "cards", "cpus", "memory_mb", "time_limit_min"))

    @property
    def further(self) -> list[forms.BoundField]:
        """Return the options few jobs need, those that are offered, in order."""
        return [self[name] for name in ("array", "after", "requeue", "environment") if name in self.fields]

    @property
    def is_further(self) -> bool:
        """Say whether any of them is used or wrong, so that they are shown at once."""
        return any(bound.value() or bound.errors for bound in self.further)
