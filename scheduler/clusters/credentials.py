"""Which key, signer and users a cluster uses, and the exchange of its key step by step. Never a secret, only where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, Invalid, noop
from scheduler.clusters import polling, rules
from scheduler.clusters.models import ClusterStatus, KeyRotation
from scheduler.resources import access
from scheduler.resources.models import Cluster

__all__ = ["Credentials", "KeyNameMissing", "StepOutOfOrder", "begin", "credentials_of", "done", "test_now"]

_ = noop
SHOWN: Final = ("url", "socket", "reader", "account", "qos", "key_id")


class KeyNameMissing(Invalid):
    code = "rotation.key_name"
    message = _("请填写新密钥的编号（key id，80 字以内），不要填写密钥本身。")


class StepOutOfOrder(Conflict):
    code = "rotation.step"
    message = _("请按顺序完成轮换步骤：前一步尚未完成，或轮换已经结束。")


@dataclass(frozen=True, slots=True)
class Credentials:
    """How the portal proves itself to a cluster. `signer`: signer, key_file, shared_key or none."""

    signer: str
    key_id: str
    facts: dict[str, str]
    job_user: str
    since: datetime | None
    """When this key came into use, as far as an exchange was recorded here."""


def credentials_of(cluster: Cluster) -> Credentials:
    """Return what may be told of a cluster's credentials: named entries only, so that no secret ever can be."""
    kind = next((kind for entry, kind in rules.SIGNERS.items() if cluster.config.get(entry)), "none")
    facts = {name: str(cluster.config[name])[:120] for name in SHOWN if cluster.config.get(name)}
    last = KeyRotation.objects.filter(cluster=cluster, finished_at__isnull=False).first()
    return Credentials(
        signer=kind,
        key_id=facts.pop("key_id", "") or (last.new_key if last else ""),
        facts=facts,
        job_user=cluster.posix_user,
        since=last.finished_at if last else None,
    )


def test_now(*, actor: Actor, cluster: Cluster, now: datetime) -> ClusterStatus:
    """Ask the cluster at once with the present credentials; the answer is a reading like any other. Raises Forbidden."""
    access.require_managed(actor, cluster)
    polling.poll(cluster_id=cluster.pk, now=now, force=True)
    status = ClusterStatus.objects.get_or_create(cluster=cluster)[0]
    _record(cluster, action="credentials.tested", actor=actor, now=now, data={"ok": bool(status.ok)})
    return status


@transaction.atomic
def begin(*, actor: Actor, cluster: Cluster, new_key: str, now: datetime) -> KeyRotation:
    """Begin an exchange of keys, or return the one going on. Raises KeyNameMissing, Forbidden."""
    access.require_managed(actor, cluster)
    name = new_key.strip()
    if not name or len(name) > 80 or "PRIVATE KEY" in name:
        raise KeyNameMissing(field="new_key")
    locked = Cluster.objects.select_for_update(no_key=True).order_by("pk").get(pk=cluster.pk)
    going_on = KeyRotation.objects.filter(cluster=locked, finished_at__isnull=True).first()
    if going_on is not None:
        return going_on
    made = KeyRotation.objects.create(
        cluster=locked, old_key=credentials_of(locked).key_id, new_key=name, started_at=now
    )
    _record(locked, action="rotation.begun", actor=actor, now=now, data={"name": name})
    return made


@transaction.atomic
def done(*, actor: Actor, rotation: KeyRotation, step: rules.RotationStep, now: datetime) -> KeyRotation:
    """Tick a step off. In order only; ticking it again changes nothing. The last one ends the exchange.

    Raises StepOutOfOrder, Forbidden.
    """
    access.require_managed(actor, rotation.cluster)
    locked = KeyRotation.objects.select_for_update(no_key=True).order_by("pk").get(pk=rotation.pk)
    if step.value in locked.steps:
        return locked
    before = rules.STEPS[: rules.STEPS.index(step)]
    if locked.finished_at is not None or any(each.value not in locked.steps for each in before):
        raise StepOutOfOrder
    locked.steps = {**locked.steps, step.value: {"at": now.isoformat(), "by": actor.label}}
    if step is rules.STEPS[-1]:
        locked.finished_at = now
    locked.save(update_fields=["steps", "finished_at"])
    _record(rotation.cluster, action="rotation.stepped", actor=actor, now=now, data={"step": step.value})
    return locked


def _record(cluster: Cluster, *, action: str, actor: Actor, now: datetime, data: dict[str, object]) -> None:
    audit.record(
        action=action,
        subject=f"cluster:{cluster.code}",
        actor=actor,
        now=now,
        organisations=[cluster.owner_id],
        data=data,
    )
