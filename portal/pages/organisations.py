"""The organisation one acts for: its facts, members and tokens; registering one, changing between several."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.organisations import access, rules, services
from portal.organisations.middleware import SESSION_KEY
from portal.organisations.models import ApiToken, Member, Organisation, User
from portal.pages import casework
from portal.pages.acts import attempt_on, remember, was_sent
from portal.pages.labels import label_of
from portal.pages.shell import actor_of, attempt, needs, new_key, page


def _role_choices(kind: str) -> list[tuple[str, str]]:
    return [(role.value, label_of("role", role.value)[1]) for role in rules.ROLES_OF_KIND[rules.Kind(kind)]]


class RolesForm(forms.Form):
    """Roles of a member or a token, those of the organisation's kind only."""

    roles = forms.MultipleChoiceField(label=_("角色"), widget=forms.CheckboxSelectMultiple)

    def __init__(self, kind: str, data: Any = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        field = self.fields["roles"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = _role_choices(kind)


class MemberForm(RolesForm):
    """A person to add."""

    username = forms.CharField(
        label=_("用户名"),
        max_length=150,
        help_text=_("对方须已注册。"),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    field_order = ("username", "roles")


class TokenForm(RolesForm):
    """A token to make."""

    name = forms.CharField(label=_("令牌名称"), max_length=60, help_text=_("写明用途，例如“财务系统对接”。"))
    field_order = ("name", "roles")


class RegisterForm(forms.Form):
    """An enterprise as its business licence has it."""

    name = forms.CharField(label=_("单位全称"), max_length=120, help_text=_("与营业执照一致。"))
    name_en = forms.CharField(label=_("英文名称"), max_length=160, required=False)
    credit_code = forms.CharField(
        label=_("统一社会信用代码"),
        max_length=40,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_("营业执照上的 18 位代码。"),
    )
    city = forms.CharField(label=_("所在城市"), max_length=40, help_text=_("只写市名，例如“杭州”。"))


@needs()
def organisation(request: HttpRequest) -> HttpResponse:
    """Show the organisation one acts for; without one, the way to register."""
    actor = actor_of(request)
    if actor.organisation_id is None:
        return redirect("register_organisation")
    return _shown(request, access.get_own(actor))


def _shown(
    request: HttpRequest,
    own: Organisation,
    *,
    member_form: forms.Form | None = None,
    token_form: forms.Form | None = None,
    secret: str = "",
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    actor = actor_of(request)
    may_manage = actor.may(Permission.MEMBERS_MANAGE)
    members = Member.objects.filter(organisation=own, left_at__isnull=True).select_related("user").order_by("pk")
    tokens = ApiToken.objects.filter(organisation=own).select_related("created_by") if may_manage else []
    return page(
        request,
        "organisations/organisation.html",
        {
            "organisation": own,
            "groups": casework.facts_of({"applicant": own.facts}),
            "members": members,
            "tokens": tokens,
            "may_manage": may_manage,
            "roles": _role_choices(own.kind),
            "member_form": member_form or MemberForm(own.kind),
            "token_form": token_form or TokenForm(own.kind, auto_id="id_token_%s"),
            "memberships": getattr(request, "memberships", []),
            "secret": secret,
            "key": new_key(),
            "error": error,
        },
        status=status,
    )


@require_POST
@needs(Permission.MEMBERS_MANAGE)
def add_member(request: HttpRequest) -> HttpResponse:
    """Add a registered person."""
    actor = actor_of(request)
    own = access.get_own(actor)
    form = MemberForm(own.kind, request.POST)
    if not form.is_valid():
        return _shown(request, own, member_form=form, status=422)
    values = form.cleaned_data
    member, error = attempt(
        lambda: services.add_member(actor=actor, username=values["username"], roles=values["roles"], now=timezone.now())
    )
    if error:
        return _shown(request, own, member_form=form, error=error, status=error.status)
    messages.success(request, gettext("%(name)s 已加入本单位。") % {"name": member.user})
    return redirect("organisation")


@require_POST
@needs(Permission.MEMBERS_MANAGE)
def change_member(request: HttpRequest, member_id: int) -> HttpResponse:
    """Set a member's roles, or let the person leave."""
    actor = actor_of(request)
    own = access.get_own(actor)
    leaves = request.POST.get("act") == "remove"
    form = RolesForm(own.kind, request.POST)
    if not leaves and not form.is_valid():
        return _shown(request, own, error=_nothing_chosen(), status=422)
    roles = [] if leaves else form.cleaned_data["roles"]
    _member, error = attempt(
        lambda: services.change_member(actor=actor, member_id=member_id, roles=roles, now=timezone.now())
    )
    if error:
        return _shown(request, own, error=error, status=error.status)
    messages.success(request, gettext("该成员已移出本单位。") if leaves else gettext("角色已更新。"))
    return redirect("organisation")


def _nothing_chosen() -> Explained:
    text = gettext("请至少选择一个角色；要移出成员，请点“移出本单位”。")
    return Explained(422, "member.role", text, ({"code": "member.role", "text": text, "remedy": "", "field": ""},))


@require_POST
@needs(Permission.MEMBERS_MANAGE)
def create_token(request: HttpRequest) -> HttpResponse:
    """Make a token and show its secret, this once."""
    actor = actor_of(request)
    own = access.get_own(actor)
    form = TokenForm(own.kind, request.POST, auto_id="id_token_%s")
    if not form.is_valid():
        return _shown(request, own, token_form=form, status=422)
    if was_sent(request):
        messages.info(request, gettext("令牌已创建。密钥只显示一次；如未保存，请停用后重新创建。"))
        return redirect("organisation")
    values = form.cleaned_data
    made, error = attempt(
        lambda: services.create_token(actor=actor, name=values["name"], roles=values["roles"], now=timezone.now())
    )
    if error:
        return _shown(request, own, token_form=form, error=error, status=error.status)
    remember(request)
    return _shown(request, own, secret=made[1])


@require_POST
@needs(Permission.MEMBERS_MANAGE)
def revoke_token(request: HttpRequest, token_id: int) -> HttpResponse:
    """End a token at once."""
    services.revoke_token(actor=actor_of(request), token_id=token_id, now=timezone.now())
    messages.success(request, gettext("令牌已停用，立即失效。"))
    return redirect("organisation")


@needs()
def register(request: HttpRequest) -> HttpResponse:
    """Register an enterprise and become its owner. Providers and departments are entered by the platform."""
    if request.method != "POST":
        return page(request, "organisations/register.html", {"form": RegisterForm()})
    form = RegisterForm(request.POST)
    error: Explained | None = None
    if form.is_valid():
        values = form.cleaned_data
        assert isinstance(request.user, User)
        person = request.user
        made, error = attempt_on(
            "organisation",
            lambda: services.register(
                user=person,
                kind=rules.Kind.ENTERPRISE,
                names={"zh": values["name"], "en": values["name_en"]},
                credit_code=values["credit_code"],
                city=values["city"],
                now=timezone.now(),
            ),
        )
        if error is None:
            request.session[SESSION_KEY] = made.pk
            messages.success(request, gettext("%(name)s 已登记，您是单位管理员。") % {"name": made.name})
            return redirect("dashboard")
        if _has_registered(request, values["credit_code"]):
            return redirect("organisation")
    return page(
        request,
        "organisations/register.html",
        {"form": form, "error": error},
        status=error.status if error else 422,
    )


def _has_registered(request: HttpRequest, credit_code: str) -> bool:
    """Say whether the person already belongs to the organisation of this code: a second click, not a conflict."""
    code = credit_code.strip().upper()
    return any(member.organisation.credit_code == code for member in getattr(request, "memberships", []))


@require_POST
@needs()
def switch(request: HttpRequest) -> HttpResponse:
    """Act for another of one's organisations from now on."""
    asked = request.POST.get("organisation", "")
    member = next(
        (member for member in getattr(request, "memberships", []) if str(member.organisation_id) == asked), None
    )
    if member is None:
        raise NotFound
    request.session[SESSION_KEY] = member.organisation_id
    messages.success(request, gettext("现在代表%(name)s办理。") % {"name": member.organisation.name})
    onward = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        onward, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return redirect(onward if is_ours else "dashboard")
