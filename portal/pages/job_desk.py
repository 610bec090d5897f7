"""The form a job is submitted with, and what it shows beside its fields: price, who pays, other partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext

from portal.http import Explained, explain_reason, sentences
from portal.kernel.errors import Reason
from portal.kernel.money import Money
from portal.pages import purses, shell
from portal.pages.job_form import JobForm
from portal.pages.job_further import further_of, stated, typed
from portal.pages.jobfiles import again_of, attachments_of, choices_of
from portal.pages.jobsamples import SAMPLES
from portal.pages.templatetags.show import bilingual, label
from scheduler.jobs import access, choices, directives, quoting, rules, services
from scheduler.jobs.directives import offered_by
from scheduler.jobs.models import Job
from scheduler.resources import access as resources
from scheduler.resources import queries as rates
from scheduler.resources.models import Partition, Rate
from scheduler.resources.rules import ServiceClass, Unit
from vouchers.charges import services as charges

__all__ = ["Desk", "JobForm", "Offer", "is_open"]


@dataclass(frozen=True, slots=True)
class Offer:
    """What the form shows beside its fields: the price of the whole limit and who pays it, or why it cannot be."""

    partition: Partition | None = None
    rate: Rate | None = None
    ask: rules.Ask | None = None
    quote: quoting.Quote | None = None
    share: Fraction | None = None
    reasons: Sequence[Mapping[str, str]] = ()
    choices: Sequence[choices.Choice] = ()
    """The same wish on every partition."""

    @property
    def seen(self) -> str:
        """Return what the person saw when pressing the button: price and voucher's part, in fen."""
        return f"{self.quote.price.amount.fen}/{self.quote.split.voucher.fen}" if self.quote else ""

    @property
    def longest(self) -> int | None:
        """Return the longest limit the voucher carries, in minutes, where the partition would allow more."""
        longest = self.quote.longest_minutes if self.quote else None
        assert self.partition is not None
        return longest if longest is not None and longest < self.partition.max_time_s // 60 else None

    @property
    def count(self) -> int:
        """Return what is multiplied by time: cards or cores."""
        assert self.ask is not None
        assert self.quote is not None
        each = self.ask.cards if self.quote.price.unit is Unit.CARD_HOUR else self.ask.cpus
        return max(0, each) * self.quote.tasks


class Desk:
    """One visit to the form: who asks, which partitions there are and what they cost, which vouchers there are."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.now = timezone.now()
        self.actor = shell.actor_of(request)
        self.partitions = {f"{c.code}/{p.name}": p for c in resources.clusters() for p in c.partitions.all()}
        self.rates = rates.rates_of_partitions([p.pk for p in self.partitions.values()], at=self.now)
        self.files = choices_of(self.actor)
        self.purses = purses.purses_of(self.actor, now=self.now, service=ServiceClass.COMPUTE)

    @property
    def offered(self) -> frozenset[str]:
        """Return the options some cluster takes; what none takes is not shown."""
        return frozenset().union(*(offered_by(at.cluster.features) for at in self.partitions.values()))

    def options(self) -> list[tuple[str, str]]:
        """Return the partitions as choices: where, which, at what price."""
        return [(key, self._option(partition)) for key, partition in self.partitions.items()]

    def _option(self, partition: Partition) -> str:
        text = f"{bilingual(partition.cluster)} · {bilingual(partition, 'label')}"
        if rate := self.rates.get(partition.pk):
            text = f"{text} · {Money(rate.amount_fen)}/{label(rate.unit, 'unit')}"
        return text if is_open(partition) else gettext("%(text)s（暂停接收）") % {"text": text}

    def first_open(self) -> str:
        """Return the first partition that takes work, or the first one, or nothing."""
        open_ones = [key for key, partition in self.partitions.items() if is_open(partition)]
        return next(iter([*open_ones, *self.partitions]), "")

    def first_that_takes(self, cards: int) -> str:
        """Return the first open partition with so many cards a job, or any open one."""
        fitting = (key for key, at in self.partitions.items() if is_open(at) and at.max_cards >= cards)
        return next(fitting, self.first_open())

    def start(self) -> dict[str, Any]:
        """Return what a fresh form holds: defaults of the partition asked for, or an earlier job's values."""
        query = self.request.GET
        if number := query.get("again"):
            return self._again(access.get_job(self.actor, number))
        key = query.get("partition", "")
        key = key if key in self.partitions else self.first_open()
        partition = self.partitions.get(key)
        values = {
            "partition": key,
            "cards": 1 if partition and partition.max_cards else 0,
            "cpus": "",
            "memory_mb": min(4000, partition.max_memory_mb) if partition else 4000,
            "time_limit_min": 60,
            "script": SAMPLES["hello"].script,
        }
        return {**values, "voucher": query.get("voucher", self.first_that_pays(values))}

    def _again(self, job: Job) -> dict[str, Any]:
        held = {purse.voucher.number for purse in self.purses if purse.voucher.deducts}
        paid = [part.voucher.number for part in job.charge.parts.all()] if job.charge else []
        still = [number for number in paid if number in held]
        return {
            "partition": f"{job.partition.cluster.code}/{job.partition.name}",
            "title": job.title,
            "cards": job.cards,
            "cpus": job.cpus,
            "memory_mb": job.memory_mb,
            "time_limit_min": job.time_limit_s // 60,
            "shorten": False,
            "array": job.array,
            "requeue": job.requeue,
            "environment": "\n".join(f"{name}={value}" for name, value in job.environment.items()),
            "script": job.script,
            "attached": again_of(self.request, self.actor, job.pk),
            "voucher": next(iter(still), ""),
            "more": still[1:],
        }

    def first_that_pays(self, values: Mapping[str, Any]) -> str:
        """Return the voucher, first to expire first, that can pay its share of these values, or ""."""
        partition = self.partitions.get(values["partition"])
        rate = self.rates.get(partition.pk) if partition else None
        if rate is None:
            return ""
        price = rates.priced(rate, duration_s=values["time_limit_min"] * 60, count=max(1, values["cards"]))
        return purses.first_that_pays(self.purses, price.amount, now=self.now, service=ServiceClass.COMPUTE)

    def form(self, data: Mapping[str, Any] | None, **more: Any) -> JobForm:
        form = JobForm(data, desk=self, **more)
        form.full_clean()
        return form

    def unjudged(self, form: JobForm) -> JobForm:
        """Return the form with the same values and no verdict on what nobody has had the time to type."""
        return self.form(None, initial={name: form[name].value() for name in form.fields if name != "script_file"})

    def wanted(self, form: JobForm) -> services.Wanted:
        """Return what a form asks for. Raises NotFound at the field for a foreign voucher."""
        values = form.cleaned_data
        partition = self.partitions[values["partition"]]
        paying = purses.chosen(self.actor, self.purses, values)
        cpus = values["cpus"]
        ask = rules.Ask(
            cards=values["cards"],
            cpus=max(1, values["cards"] * partition.cpus_per_card) if cpus is None else cpus,
            memory_mb=values["memory_mb"],
            time_limit_s=values["time_limit_min"] * 60,
            script=values.get("script") or "",
        )
        return services.Wanted(
            partition=partition,
            title=values.get("title") or "",
            ask=ask,
            vouchers=paying,
            files=attachments_of(values.get("attached") or ()),
            shorten=values.get("shorten") or False,
            options=further_of(values),
        )

    def offer(self, form: JobForm, *, judge_script: bool = False) -> Offer:
        """Price what the form asks for and collect everything against it."""
        partition = self.partitions.get(form.cleaned_data.get("partition", ""))
        rate = self.rates.get(partition.pk) if partition else None
        if not form.sized:
            return Offer(partition, rate)
        made, error = shell.attempt(lambda: self._offer(form, judge_script=judge_script))
        if error is not None:
            return Offer(partition, rate, reasons=error.reasons)
        assert isinstance(made, Offer)
        return made

    def _offer(self, form: JobForm, *, judge_script: bool) -> Offer:
        wanted = self.wanted(form)
        quote = services.quoted(actor=self.actor, wanted=wanted, now=self.now)
        reasons = [explain_reason(reason) for reason in quote.reasons if judge_script or reason.field != "script"]
        return Offer(
            partition=wanted.partition,
            rate=self.rates.get(wanted.partition.pk),
            ask=wanted.ask,
            quote=quote,
            share=charges.terms_of(wanted.vouchers[0]).share if len(wanted.vouchers) == 1 else None,
            reasons=reasons,
            choices=self.side_by_side(wanted, tasks=quote.tasks),
        )

    def side_by_side(self, wanted: services.Wanted, *, tasks: int) -> list[choices.Choice]:
        """Lay the wish on every partition; nothing to compare where there is only one."""
        if len(self.partitions) < 2:
            return []
        return choices.side_by_side(
            list(self.partitions.values()),
            ask=wanted.ask,
            vouchers=wanted.vouchers,
            now=self.now,
            shorten=wanted.shorten,
            tasks=tasks,
        )

    def read(self, data: Mapping[str, Any]) -> directives.Diff | None:
        """Lay a pasted script's directives beside the other fields; None where it has none."""
        script = str(data.get("script") or "")
        if not directives.has_any(script):
            return None
        partition = self.partitions.get(str(data.get("partition", "")))
        minutes = _whole(data.get("time_limit_min"))
        form = directives.Form(
            partition=partition.name if partition else None,
            title=str(data.get("title") or "").strip() or None,
            cards=_whole(data.get("cards")),
            cpus=_whole(data.get("cpus")),
            memory_mb=_whole(data.get("memory_mb")),
            time_limit_s=None if minutes is None else minutes * 60,
            **stated(data),
        )
        return directives.compare(
            script,
            form,
            card_type=partition.card_type if partition else "",
            offered=offered_by(partition.cluster.features) if partition else frozenset(),
        )

    def taken(self, data: Mapping[str, Any], diff: directives.Diff) -> dict[str, Any]:
        """Return the form's values with the script's own in their place, and its directives made remarks."""
        sent = diff.sent
        cluster = str(data.get("partition", "")).partition("/")[0]
        key = f"{cluster}/{sent.partition}"
        said = {
            "partition": key if sent.partition else data.get("partition", ""),
            "title": sent.title,
            "cards": sent.cards,
            "cpus": sent.cpus,
            "memory_mb": sent.memory_mb,
            "time_limit_min": None if sent.time_limit_s is None else sent.time_limit_s // 60,
            **typed(sent),
        }
        return {**data, **{name: value for name, value in said.items() if value is not None}, "script": diff.script}

    def judged(self, form: JobForm) -> Offer:
        """Add everything against the job to the fields of a form with mistakes: nobody should be sent back twice."""
        offer = self.offer(form, judge_script=True)
        for reason in offer.reasons:
            form.add_error(
                reason["field"] if reason["field"] in form.fields else None, sentences(reason["text"], reason["remedy"])
            )
        return replace(offer, reasons=())

    def show(
        self,
        form: JobForm,
        *,
        offer: Offer | None = None,
        error: Explained | None = None,
        key: str = "",
        diff: directives.Diff | None = None,
    ) -> HttpResponse:
        """Render the form. `error` is why a submission was not taken; its status is the answer's."""
        context = {
            "form": form,
            "offer": offer or self.offer(form if form.is_bound else self.form(form.initial)),
            "error": error,
            "key": key or shell.new_key(),
            "diff": diff,
            "items": [(item, _why(item)) for item in diff.items] if diff else [],
            "samples": [(code, sample.name) for code, sample in SAMPLES.items()],
        }
        status = error.status if error else 422 if form.errors else 200
        return shell.page(self.request, "jobs/new.html", context, status=status)


def is_open(partition: Partition) -> bool:
    """Say whether a partition takes jobs now."""
    return partition.is_open and partition.cluster.accepts_work


def _whole(text: object) -> int | None:
    """Return a typed number, or None where it is none."""
    said = str(text if text is not None else "").strip()
    return int(said) if said.isascii() and said.isdigit() and len(said) < 9 else None


def _why(item: directives.Item) -> str:
    return explain_reason(Reason("", item.message, params=item.params))["text"] if item.message else ""
