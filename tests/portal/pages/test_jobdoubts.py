"""The evidence page: what a cluster was asked and answered, for the owner and for the operator, who sees no secrets."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from portal.organisations import rules as roles
from scheduler.jobs import alerts, dispatching, reconciling, rules, services
from scheduler.jobs.doubt_models import JobAlert
from tests import make
from tests.scheduler.jobs import scripted

TITLE, SCRIPT = "机密课题", "#!/bin/sh\necho 机密脚本\n"


@pytest.fixture(autouse=True)
def scripted_cluster(settings):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()


@pytest.fixture
def unclear(w):
    """A job whose answer was lost and which cannot be found: asked for twice."""
    w.partition = make.partition(w, adapter="scripted")
    scripted.PLAN[:] = ["dropped"]
    scripted.DOUBT["find"] = True
    job = services.submit(
        actor=w.researcher,
        wanted=services.Wanted(
            partition=w.partition,
            title=TITLE,
            ask=rules.Ask(cards=1, cpus=1, memory_mb=100, time_limit_s=60, script=SCRIPT),
        ),
        now=make.NOW,
        key=make.key(),
        dispatch=lambda _: None,
    )
    dispatching.dispatch(job_id=job.pk, now=make.NOW)
    for seconds in (30, 60, 900):
        reconciling.reconcile(cluster_id=w.partition.cluster_id, now=make.NOW + timedelta(seconds=seconds))
    return job


def client(actor) -> Client:
    browser = Client()
    browser.force_login(make.user_of(actor))
    return browser


def page(actor, name, *args):
    return client(actor).get(reverse(name, args=args))


def test_shows_the_owner_what_was_asked_when_and_what_was_answered(w, unclear):
    text = page(w.researcher, "job_evidence", unclear.number).content.decode()
    assert unclear.marker in text
    for words in ("read timed out", "回答丢失", "accounting does not answer", "无法判断", "共 3 次"):
        assert words in text


def test_shows_the_operator_the_same_without_title_and_script(w, unclear):
    code = w.partition.cluster.code
    listed = page(w.operator, "cluster_doubts", code).content.decode()
    shown = page(w.operator, "cluster_evidence", code, unclear.number).content.decode()
    assert unclear.number in listed
    assert "下落超过 15 分钟未核实" in listed
    assert "accounting does not answer" in shown
    assert not any(secret in listed + shown for secret in (TITLE, "机密脚本"))


def test_nobody_else_sees_it(w, unclear):
    stranger = make.actor(make.organisation(roles.Kind.ENTERPRISE), roles.Role.RESEARCHER)
    assert page(stranger, "job_evidence", unclear.number).status_code == 404
    code = w.partition.cluster.code
    for actor in (stranger, w.researcher, w.keeper):
        assert page(actor, "cluster_doubts", code).status_code == 403
        assert page(actor, "cluster_evidence", code, unclear.number).status_code == 403


def test_queries_do_not_grow_with_what_is_unclear(w, unclear, django_assert_max_num_queries):
    browser, url = client(w.operator), reverse("cluster_doubts", args=[w.partition.cluster.code])
    browser.get(url)
    for kind in JobAlert.Kind:
        alerts.sound(unclear, kind, now=make.NOW)
    with django_assert_max_num_queries(10):
        browser.get(url)
