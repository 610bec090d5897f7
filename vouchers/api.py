"""Index of the vouchers app's routers, for ``portal/api.py`` only."""

from ninja import Router

from vouchers.banking.api import router as banking
from vouchers.banking.claims_api import router as bank_claims
from vouchers.banking.unapplied_api import router as unapplied
from vouchers.charges.api import router as charges
from vouchers.charges.proposal_api import router as charge_proposals
from vouchers.claims.api import router as claims
from vouchers.dryruns.api import router as dryruns
from vouchers.flags.api import router as flags
from vouchers.invoices.api import fapiaos
from vouchers.invoices.api import router as documents
from vouchers.invoices.desk_api import router as fapiao_desk
from vouchers.issuance.api import applications, assessments
from vouchers.issuance.casework_api import casework, grants
from vouchers.ledger.api import router as ledger
from vouchers.notices.api import notices, objections
from vouchers.offers.api import router as offers
from vouchers.offers.order_api import router as orders
from vouchers.offers.ruling_api import router as rulings
from vouchers.payees.api import router as payees
from vouchers.payments.api import router as payments
from vouchers.payments.rail_api import attempts
from vouchers.payments.rail_api import finance as rails
from vouchers.programmes.api import router as programmes
from vouchers.programmes.draft_api import router as drafts
from vouchers.purchases.api import router as purchases
from vouchers.reconciliation.api import router as reconciliation
from vouchers.reconciliation.bank_api import router as bank_days
from vouchers.reconciliation.explaining_api import router as explanations
from vouchers.recoveries.api import router as recoveries
from vouchers.rounds.api import rounds
from vouchers.settlements.api import router as settlements
from vouchers.settlements.orders_api import cases as discrepancies
from vouchers.settlements.orders_api import router as payment_orders
from vouchers.settlements.payouts_api import router as rail_payouts
from vouchers.settlements.release_api import router as releases
from vouchers.settlements.statements_api import router as statements
from vouchers.wallets.api import router as vouchers

routers: tuple[tuple[str, Router], ...] = (
    ("/programmes", programmes),
    ("/programmes", assessments),
    ("/applications", casework),
    ("/programmes", grants),
    ("/programme-drafts", drafts),
    ("/dry-runs", dryruns),
    ("/applications", applications),
    ("/vouchers", vouchers),
    ("/charges", charges),
    ("/charge-proposals", charge_proposals),
    ("/rounds", rounds),
    ("/notices", notices),
    ("/objections", objections),
    ("/offers", offers),
    ("/orders", orders),
    ("/orders", rulings),
    ("/payments", payments),
    ("/purchases", purchases),
    ("/payees", payees),
    ("/payments", attempts),
    ("/payment-rails", rails),
    ("/documents", documents),
    ("/fapiao", fapiao_desk),
    ("/fapiao", fapiaos),
    ("/claims", claims),
    ("/recoveries", recoveries),
    ("/settlements", statements),
    ("/settlements", rail_payouts),
    ("/settlements", settlements),
    ("/reconciliation/bank", bank_days),
    ("/reconciliation/explanations", explanations),
    ("/settlements", releases),
    ("/reconciliation", reconciliation),
    ("/banking", banking),
    ("/banking/claims", bank_claims),
    ("/banking/unapplied", unapplied),
    ("/payment-orders", payment_orders),
    ("/discrepancies", discrepancies),
    ("/flags", flags),
    ("/ledger", ledger),
)
