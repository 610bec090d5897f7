"""Addresses of vouchers, payments, recoveries, settlements and the ledger."""

from __future__ import annotations

from django.urls import path

from portal.pages import (
    claim_desk,
    claims,
    cockpit,
    flags,
    payments,
    recoveries,
    refunds,
    settlements,
    statistics,
    statistics_months,
    vouchers,
    wallet,
    years,
)

urlpatterns = [
    path("cockpit/", cockpit.cockpit, name="cockpit"),
    path("statistics/", statistics.statistics, name="statistics"),
    path("statistics/monthly/", statistics_months.monthly, name="statistics_monthly"),
    path("flags/", flags.desk, name="flags"),
    path("flags/<int:flag_id>/", flags.flag, name="flag"),
    path("claims/", claims.claims, name="claims"),
    path("claims/new/", claims.new, name="claim_new"),
    path("claims/desk/", claim_desk.queue, name="claim_desk"),
    path("claims/runs/", claim_desk.runs, name="claim_runs"),
    path("claims/<str:number>/", claim_desk.claim, name="claim"),
    path("claims/<str:number>/edit/", claims.edit, name="claim_edit"),
    path("claims/<str:number>/files/<int:file_id>/", claims.file, name="claim_file"),
    path("recoveries/", recoveries.desk, name="recoveries"),
    path("recoveries/open/", recoveries.opened, name="recovery_open"),
    path("recoveries/<str:number>/", recoveries.recovery, name="recovery"),
    path("sanctions/", recoveries.sanctions, name="sanctions"),
    path("wallet/", wallet.purses, name="wallet"),
    path("wallet/<str:number>/", wallet.voucher, name="voucher"),
    path("wallet/<str:number>/certificate/", wallet.certificate, name="voucher_certificate"),
    path("wallet/<str:number>/code/", wallet.code, name="voucher_code"),
    path("vouchers/", vouchers.register, name="voucher_register"),
    path("vouchers/counter/", vouchers.counter, name="voucher_counter"),
    path("vouchers/<str:number>/", vouchers.registered, name="registered_voucher"),
    path("verify/<str:token>/", vouchers.verify, name="verify"),
    path("charges/<str:number>/refund/", refunds.refund, name="charge_refund"),
    path("payments/", payments.payments, name="payments"),
    path("payments/<str:number>/", payments.payment, name="payment"),
    path("settlements/", settlements.settlements, name="settlements"),
    path("settlements/draft/", settlements.draft, name="settlement_draft"),
    path("settlements/<str:number>/", settlements.settlement, name="settlement"),
    path("settlements/<str:number>/xlsx/", settlements.download, name="settlement_xlsx"),
    path("ledger/", settlements.ledger, name="ledger_overview"),
    path("ledger/years/", years.years, name="ledger_years"),
    path("ledger/years/<int:fiscal_year>/", years.year, name="ledger_year"),
]
