"""The catalogue of applications as people use it: fill in, look, submit; import, look, publish."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from portal.demo.applications import publish_templates
from scheduler.jobfiles.models import JobSecret, JobUpload
from scheduler.templates import access
from scheduler.templates.models import JobTemplateVersion
from tests import make
from tests.scheduler.jobfiles.test_services import store  # noqa: F401 - a fixture
from tests.scheduler.templates.catalogue import document, published

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def client_of(someone):
    client = Client()
    client.force_login(make.user_of(someone))
    return client


def test_a_filled_in_template_becomes_the_form_of_a_job(w):
    make.partition(w)
    published(w.operator)
    client, address = client_of(w.researcher), reverse("job_template", args=["echo-words"])
    typed = {"EPOCHS": "5", "MODEL": "large", "NOTE": "it's", "DATA": "a.csv", "KEY_FILE": ""}

    shown = client.post(address, {**typed, "act": "preview"})
    form = client.post(address, {**typed, "act": "use"}).context["form"]

    assert shown.status_code == 200
    assert "export NOTE=" in shown.context["script"]
    assert form["script"].value() == shown.context["script"]
    assert (form["cards"].value(), form["time_limit_min"].value()) == (1, 30)


@pytest.mark.usefixtures("store")
def test_files_and_secrets_of_the_enterprise_are_attached_where_the_template_wants_them(w):
    make.partition(w)
    published(w.operator)
    client, address = client_of(w.researcher), reverse("job_template", args=["echo-words"])
    assert "attach_DATA" not in client.get(address).context["form"].fields
    client.post(reverse("job_uploads"), {"file": SimpleUploadedFile("words.csv", b"a,b")})
    client.post(reverse("job_uploads"), {"name": "token", "value": "hush-hush"})
    upload, secret = JobUpload.objects.get().number, JobSecret.objects.get().number
    typed = {"EPOCHS": "5", "MODEL": "large", "NOTE": "it's", "DATA": "data/train.csv", "KEY_FILE": ""}
    chosen = {**typed, "attach_DATA": upload, "attach_KEY_FILE": secret, "act": "use"}

    form = client.post(address, chosen).context["form"]
    assert form["attached"].value() == [f"{upload}=data/train.csv", f"{secret}=token"]
    assert "export KEY_FILE=" in form["script"].value()
    assert "token" in form["script"].value()
    assert "hush" not in form["script"].value()

    wrong = client.post(address, {**chosen, "attach_DATA": "F2611-999999"})
    assert wrong.status_code == 422
    assert "文件已删除或已用过，请重新选择。" in wrong.text
    assert 'value="data/train.csv"' in wrong.text


def test_a_bad_value_is_said_at_its_field_and_nothing_typed_is_lost(w):
    published(w.operator)
    typed = {"EPOCHS": "500", "MODEL": "small", "NOTE": "记下", "DATA": "../x", "KEY_FILE": "", "act": "use"}
    answer = client_of(w.researcher).post(reverse("job_template", args=["echo-words"]), typed)
    form = answer.context["form"]
    assert answer.status_code == 409
    assert set(form.errors) == {"EPOCHS", "DATA"}
    assert form["NOTE"].value() == "记下"


def test_an_operator_imports_looks_and_publishes(w):
    client = client_of(w.operator)
    file = SimpleUploadedFile("t.json", json.dumps(document()).encode(), content_type="application/json")
    page = client.post(reverse("job_templates"), {"file": file}, follow=True)
    assert "export EPOCHS=3" in page.content.decode()
    assert not access.published_for(w.researcher).exists()
    client.post(page.request["PATH_INFO"], {"act": "publish"})
    assert access.get_published(w.researcher, "echo-words").number == 1


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[]", b'{"code": "x"}', b"[" * 100_000])
def test_a_bad_file_is_explained(w, raw):
    file = SimpleUploadedFile("t.json", raw, content_type="application/json")
    assert client_of(w.operator).post(reverse("job_templates"), {"file": file}).status_code in {409, 422}
    assert not JobTemplateVersion.objects.exists()


def test_the_demo_has_one_of_each_kind(w):
    assert publish_templates(w.operator, now=make.NOW) == 5
    page = client_of(w.researcher).get(reverse("job_templates")).content.decode()
    assert all(name in page for name in ("图像分类训练", "批量推理", "方腔流动", "分子动力学", "数据清洗"))
