"""Addresses other machines call: outside the languages, with no slash at the end, because nobody follows a redirect there."""

from __future__ import annotations

from django.urls import path

from portal.pages import hooks

urlpatterns = [path("webhooks/payments/<slug:code>", hooks.payment_notice, name="payment-notice")]
