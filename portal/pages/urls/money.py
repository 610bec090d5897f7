"""Addresses of vouchers, payments, settlements and the ledger."""

from __future__ import annotations

from django.urls import path

from portal.pages import cockpit, flags, payments, settlements, statistics, wallet

urlpatterns = [
    path("cockpit/", cockpit.cockpit, name="cockpit"),
    path("statistics/", statistics.statistics, name="statistics"),
    path("flags/", flags.desk, name="flags"),
    path("flags/<int:flag_id>/", flags.flag, name="flag"),
    path("wallet/", wallet.purses, name="wallet"),
    path("wallet/<str:number>/", wallet.voucher, name="voucher"),
    path("payments/", payments.payments, name="payments"),
    path("payments/<str:number>/", payments.payment, name="payment"),
    path("settlements/", settlements.settlements, name="settlements"),
    path("settlements/draft/", settlements.draft, name="settlement_draft"),
    path("settlements/<str:number>/", settlements.settlement, name="settlement"),
    path("settlements/<str:number>/xlsx/", settlements.download, name="settlement_xlsx"),
    path("ledger/", settlements.ledger, name="ledger_overview"),
]
