"""Tables of calls, proposals, their teams, samples and files, and the beam time they ask for."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.facilities.courses import ProposalKind
from scheduler.proposals import rules

KINDS = [one.value for one in ProposalKind]


class ProposalCall(models.Model):
    """A call of a facility for one run cycle, open `during` (half-open: who comes at its very end is late)."""

    facility = models.ForeignKey("scheduler.Facility", on_delete=models.PROTECT, related_name="calls")
    cycle = models.ForeignKey("scheduler.RunCycle", on_delete=models.PROTECT, related_name="calls")
    number = models.CharField(max_length=24, unique=True)
    name = models.CharField(_("名称"), max_length=120)
    name_en = models.CharField(_("英文名称"), max_length=160, blank=True)
    notice = models.TextField(_("说明"), max_length=3000, blank=True)
    during = DateTimeRangeField(default_bounds="[)")
    kinds = ArrayField(models.CharField(max_length=12), size=7)
    least_shifts = models.PositiveSmallIntegerField(_("最少班次"), default=1)
    most_shifts = models.PositiveSmallIntegerField(_("最多班次"), default=0)
    """0: no limit."""
    is_published = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "proposal_call"
        ordering = ["-during", "-pk"]
        constraints = [
            models.CheckConstraint(name="proposal_call_kinds_known", condition=Q(kinds__contained_by=KINDS)),
            models.CheckConstraint(name="proposal_call_during", condition=Q(during__isempty=False)),
        ]
        indexes = [models.Index(fields=["is_published", "-id"], name="proposal_call_shown")]

    def __str__(self) -> str:
        return self.number


class CallForm(models.Model):
    """Something a call wants from each proposal: a PDF of at most so many pages and bytes, or a text of so many letters."""

    class Kind(models.TextChoices):
        PDF = rules.FormKind.PDF.value, _("PDF 文件")
        TEXT = rules.FormKind.TEXT.value, _("文字")

    call = models.ForeignKey(ProposalCall, on_delete=models.CASCADE, related_name="forms")
    code = models.SlugField(max_length=24)
    name = models.CharField(_("名称"), max_length=80)
    name_en = models.CharField(_("英文名称"), max_length=120, blank=True)
    kind = models.CharField(max_length=4, choices=Kind)
    required = models.BooleanField(default=True)
    pages = models.PositiveSmallIntegerField(default=2)
    size = models.PositiveIntegerField(default=5_000_000)
    letters = models.PositiveSmallIntegerField(default=2000)
    place = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "call_form"
        ordering = ["place", "pk"]
        constraints = [
            models.UniqueConstraint(name="call_form_once", fields=["call", "code"]),
            models.CheckConstraint(
                name="call_form_kind_known", condition=Q(kind__in=[one.value for one in rules.FormKind])
            ),
        ]


class BeamProposal(models.Model):
    """A wish for beam time and its reasons. What it asks of one cycle is a `BeamRequest`, what it got an allocation.

    `call` is NULL for kinds that need none (urgent, rapid, partner, proprietary). `group` is what balance is counted by.
    """

    class Kind(models.TextChoices):
        STANDARD = ProposalKind.STANDARD.value, _("普通课题")
        LONG_TERM = ProposalKind.LONG_TERM.value, _("长期课题")
        BLOCK = ProposalKind.BLOCK.value, _("机时包课题")
        URGENT = ProposalKind.URGENT.value, _("紧急课题")
        RAPID = ProposalKind.RAPID.value, _("快速课题")
        PARTNER = ProposalKind.PARTNER.value, _("合作方课题")
        PROPRIETARY = ProposalKind.PROPRIETARY.value, _("付费专有课题")

    class State(models.TextChoices):
        DRAFT = rules.BeamProposalState.DRAFT.value, _("草稿")
        SUBMITTED = rules.BeamProposalState.SUBMITTED.value, _("待形式审查")
        RETURNED = rules.BeamProposalState.RETURNED.value, _("已退回修改")
        ADMITTED = rules.BeamProposalState.ADMITTED.value, _("可行性与安全审查中")
        NOT_FEASIBLE = rules.BeamProposalState.NOT_FEASIBLE.value, _("不可行")
        FEASIBLE = rules.BeamProposalState.FEASIBLE.value, _("待评审")
        GRADED = rules.BeamProposalState.GRADED.value, _("已评分")
        ACCEPTED = rules.BeamProposalState.ACCEPTED.value, _("已获机时")
        REFUSED = rules.BeamProposalState.REFUSED.value, _("未获机时")
        WITHDRAWN = rules.BeamProposalState.WITHDRAWN.value, _("已撤回")
        CLOSED = rules.BeamProposalState.CLOSED.value, _("已结题")

    number = models.CharField(max_length=24, unique=True)
    key = models.CharField(max_length=120)
    fingerprint = models.CharField(max_length=64, blank=True)
    """Of what was asked when it was begun, and by whom: the same key with another wish is not the same."""
    facility = models.ForeignKey("scheduler.Facility", on_delete=models.PROTECT, related_name="proposals")
    call = models.ForeignKey(ProposalCall, null=True, blank=True, on_delete=models.PROTECT, related_name="proposals")
    kind = models.CharField(max_length=12, choices=Kind)
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    title = models.CharField(_("题目"), max_length=200)
    summary = models.TextField(_("摘要"), max_length=3000, blank=True)
    urgency = models.TextField(_("紧急理由"), max_length=1000, blank=True)
    group = models.CharField(max_length=40, blank=True)
    no_samples = models.BooleanField(default=False)
    """Said by the team: nothing is brought."""
    is_confidential = models.BooleanField(default=False)
    partner = models.ForeignKey("scheduler.Partner", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    partner_part = models.ForeignKey(
        "scheduler.PartnerPart", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    sent_at = models.DateTimeField(null=True, blank=True)
    sent_order = models.PositiveIntegerField(null=True, blank=True)
    """Its place in the order of arrival at the facility; kept when it is sent again."""
    owed = ArrayField(models.CharField(max_length=24), default=list, blank=True)
    """Visits whose report was owed when it was sent; the panel is told (E9)."""
    return_note = models.CharField(max_length=500, blank=True)
    decision_note = models.CharField(max_length=1000, blank=True)
    """What the team is told of the decision."""
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    """Who decided last; an appeal is answered by somebody else."""
    safety_class = models.CharField(max_length=8, blank=True)
    version = models.PositiveIntegerField(default=1)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "beam_proposal"
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(name="beam_proposal_key_once", fields=["organisation", "key"]),
            models.UniqueConstraint(name="beam_proposal_order_once", fields=["facility", "sent_order"]),
            models.CheckConstraint(
                name="beam_proposal_state_known",
                condition=Q(state__in=[one.value for one in rules.BeamProposalState]) & Q(kind__in=KINDS),
            ),
            models.CheckConstraint(
                name="beam_proposal_sent",
                condition=Q(state__in=["draft", "withdrawn"]) | Q(sent_at__isnull=False, sent_order__isnull=False),
            ),
            models.CheckConstraint(
                name="beam_proposal_partner",
                condition=Q(kind=ProposalKind.PARTNER.value, partner__isnull=False)
                | (~Q(kind=ProposalKind.PARTNER.value) & Q(partner__isnull=True)),
            ),
        ]
        indexes = [
            models.Index(fields=["facility", "state", "-id"], name="beam_proposal_of_facility"),
            models.Index(fields=["organisation", "-id"], name="beam_proposal_of_applicant"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def subject(self) -> str:
        """What audit records and files call this proposal."""
        return f"beam_proposal:{self.number}"


class TeamMember(models.Model):
    """Somebody of a team: invited by mail, in it once a signed-in user has accepted. Only the link's hash is kept."""

    class State(models.TextChoices):
        INVITED = rules.InvitationState.INVITED.value, _("已邀请")
        JOINED = rules.InvitationState.JOINED.value, _("已加入")
        DECLINED = rules.InvitationState.DECLINED.value, _("已谢绝")
        REMOVED = rules.InvitationState.REMOVED.value, _("已移出")

    proposal = models.ForeignKey(BeamProposal, on_delete=models.CASCADE, related_name="team")
    name = models.CharField(_("姓名"), max_length=60)
    email = models.EmailField(_("电子邮箱"), max_length=254)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    organisation = models.ForeignKey(
        "portal.Organisation", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    """For which organisation she takes part; what conflicts of interest are found by."""
    is_leader = models.BooleanField(default=False)
    state = models.CharField(max_length=8, choices=State, default=State.INVITED)
    digest = models.CharField(max_length=64, blank=True)
    invited_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)
    mail_at = models.DateTimeField(null=True, blank=True)
    """When its mail is due, or given up for lost by the worker that has it; NULL: none is to be sent any more."""

    class Meta:
        db_table = "team_member"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                name="team_member_once",
                fields=["proposal", "user"],
                condition=Q(user__isnull=False) & ~Q(state="removed"),
            ),
            models.UniqueConstraint(
                name="team_member_email_once", fields=["proposal", "email"], condition=~Q(state="removed")
            ),
            models.UniqueConstraint(name="team_member_one_leader", fields=["proposal"], condition=Q(is_leader=True)),
            models.UniqueConstraint(name="team_member_digest_once", fields=["digest"], condition=~Q(digest="")),
            models.CheckConstraint(
                name="team_member_state_known",
                condition=Q(state__in=[one.value for one in rules.InvitationState])
                & (~Q(state="joined") | Q(user__isnull=False)),
            ),
        ]
        indexes = [models.Index(fields=["mail_at"], condition=Q(mail_at__isnull=False), name="team_member_to_mail")]


class BeamSample(models.Model):
    """A sample the team brings and what is dangerous about it (codes of `rules.Hazard`)."""

    proposal = models.ForeignKey(BeamProposal, on_delete=models.CASCADE, related_name="samples")
    name = models.CharField(_("名称"), max_length=120)
    substance = models.CharField(_("成分或化学式"), max_length=200, blank=True)
    form = models.CharField(_("形态"), max_length=60, blank=True)
    amount = models.CharField(_("数量"), max_length=60)
    hazards = ArrayField(models.CharField(max_length=12), default=list, blank=True)
    handling = models.CharField(_("防护与处置"), max_length=500, blank=True)
    afterwards = models.CharField(_("实验后去向"), max_length=200)

    class Meta:
        db_table = "beam_sample"
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                name="beam_sample_hazards_known",
                condition=Q(hazards__contained_by=[one.value for one in rules.Hazard]),
            )
        ]


class ProposalAnswer(models.Model):
    """What a team handed in for one form of the call: a text, or a PDF with its pages counted at upload."""

    proposal = models.ForeignKey(BeamProposal, on_delete=models.CASCADE, related_name="answers")
    form = models.ForeignKey(CallForm, on_delete=models.PROTECT, related_name="answers")
    text = models.TextField(blank=True)
    file = models.CharField(max_length=200, blank=True)
    """Where the file lies in the portal's store; never a path a user named."""
    name = models.CharField(max_length=120, blank=True)
    pages = models.PositiveSmallIntegerField(default=0)
    size = models.PositiveIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        db_table = "proposal_answer"
        ordering = ["form__place", "pk"]
        constraints = [models.UniqueConstraint(name="proposal_answer_once", fields=["proposal", "form"])]


class BeamRequest(models.Model):
    """Shifts a proposal asks for in one run cycle on one beamline. `good` and `bad` are the users' dates."""

    class State(models.TextChoices):
        OPEN = rules.RequestState.OPEN.value, _("待定")
        ALLOCATED = rules.RequestState.ALLOCATED.value, _("已分配")
        RESERVE = rules.RequestState.RESERVE.value, _("候补")
        REFUSED = rules.RequestState.REFUSED.value, _("未分配")
        LAPSED = rules.RequestState.LAPSED.value, _("已失效")
        SERVED = rules.RequestState.SERVED.value, _("已完成")
        WITHDRAWN = rules.RequestState.WITHDRAWN.value, _("已撤回")

    proposal = models.ForeignKey(BeamProposal, on_delete=models.PROTECT, related_name="requests")
    cycle = models.ForeignKey("scheduler.RunCycle", on_delete=models.PROTECT, related_name="requests")
    beamline = models.ForeignKey("scheduler.Beamline", on_delete=models.PROTECT, related_name="requests")
    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    shifts = models.PositiveSmallIntegerField()
    """0 while a draft does not say; nothing is sent without a number."""
    off_multiple_reason = models.CharField(max_length=300, blank=True)
    """Why not a multiple of the facility's shifts; empty where it is one (E1)."""
    good = ArrayField(models.CharField(max_length=10), default=list, blank=True)
    bad = ArrayField(models.CharField(max_length=10), default=list, blank=True)
    """Local days (ISO dates) on which the team would like to come, and on which it cannot."""
    devices = models.ManyToManyField("scheduler.Device", blank=True, related_name="+", db_table="beam_request_device")
    setup = models.CharField(_("实验布置"), max_length=60, blank=True)
    by_mail = models.BooleanField(_("可寄样"), default=False)
    waited = models.PositiveSmallIntegerField(default=0)
    """Cycles this wish went without time before this one: what ageing counts (E3)."""
    grade_c = models.SmallIntegerField(null=True, blank=True)
    """The panel's mean grade without ageing, hundredths."""
    place = models.PositiveSmallIntegerField(null=True, blank=True)
    carried_from = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="carried_to"
    )
    """The request of an earlier cycle this one goes on from."""
    created_at = models.DateTimeField()

    class Meta:
        db_table = "beam_request"
        ordering = ["cycle", "beamline", "pk"]
        constraints = [
            models.UniqueConstraint(name="beam_request_once", fields=["proposal", "cycle", "beamline"]),
            models.CheckConstraint(name="beam_request_shifts", condition=Q(shifts__gte=0)),
            models.CheckConstraint(
                name="beam_request_state_known", condition=Q(state__in=[one.value for one in rules.RequestState])
            ),
        ]
        indexes = [models.Index(fields=["cycle", "beamline", "state"], name="beam_request_of_line")]
