"""What the clock does: each task of the worker with how often, in seconds or at a time of day (UTC), and when a late one lapses."""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab

__all__ = ["SCHEDULE"]

SCHEDULE: dict[str, dict[str, Any]] = {
    "jobs": {"task": "jobs.reconcile_all", "schedule": 2.0, "options": {"expires": 10}},
    "clusters": {"task": "clusters.poll_due", "schedule": 5.0, "options": {"expires": 5}},
    "job files": {"task": "jobfiles.sweep", "schedule": 60.0, "options": {"expires": 60}},
    "metering": {"task": "metering.sweep_all", "schedule": 60.0, "options": {"expires": 60}},
    "job audit": {"task": "metering.audit", "schedule": crontab(hour=19, minute=30), "options": {"expires": 3600}},
    "limits": {"task": "limits.sync_all", "schedule": 20.0, "options": {"expires": 20}},
    "bookings": {"task": "bookings.lapse_overdue", "schedule": 60.0, "options": {"expires": 60}},
    "waiting charges": {"task": "bookings.settle_waiting", "schedule": 900.0, "options": {"expires": 900}},
    "outages": {"task": "displacements.keep", "schedule": 60.0, "options": {"expires": 60}},
    "disputes": {"task": "disputes.settle_due", "schedule": 600.0, "options": {"expires": 600}},
    "engagements": {"task": "engagements.accept_due", "schedule": 600.0, "options": {"expires": 600}},
    "beam schedules": {"task": "beamtime.keep_schedules", "schedule": 60.0, "options": {"expires": 60}},
    "beam visits": {"task": "beamtime.keep_visits", "schedule": 600.0, "options": {"expires": 600}},
    "beam market": {"task": "beamtime.release", "schedule": 300.0, "options": {"expires": 300}},
    "waitlist": {"task": "waitlist.look", "schedule": 20.0, "options": {"expires": 20}},
    "messages": {"task": "messages.send_due", "schedule": 20.0, "options": {"expires": 20}},
    "teams": {"task": "proposals.send_invitations", "schedule": 20.0, "options": {"expires": 20}},
    "rapid": {"task": "proposals.lapse_due", "schedule": 3600.0, "options": {"expires": 3600}},
    "calendars": {"task": "calendars.poll_due", "schedule": 60.0, "options": {"expires": 60}},
    "calendar mails": {"task": "invitations.send_due", "schedule": 60.0, "options": {"expires": 60}},
    "controls": {"task": "portal.controls.sweep", "schedule": 3600.0, "options": {"expires": 3600}},
    "rounds": {"task": "vouchers.turn_rounds", "schedule": 60.0, "options": {"expires": 60}},
    "notices": {"task": "vouchers.close_notices", "schedule": 300.0, "options": {"expires": 300}},
    "orders": {"task": "vouchers.run_order_deadlines", "schedule": 600.0, "options": {"expires": 600}},
    "claims": {"task": "vouchers.pay_claims", "schedule": 300.0, "options": {"expires": 300}},
    "documents": {"task": "vouchers.make_documents", "schedule": 60.0, "options": {"expires": 60}},
    "bank statements": {"task": "banking.look_for_left", "schedule": 120.0, "options": {"expires": 120}},
    "dry runs": {"task": "vouchers.dry_runs_left", "schedule": 120.0, "options": {"expires": 120}},
    "seals": {"task": "ledger.seal", "schedule": 60.0, "options": {"expires": 60}},
    "open time": {"task": "availability.keep", "schedule": crontab(hour=17, minute=15), "options": {"expires": 3600}},
    "gateways": {"task": "reconciliation.pull", "schedule": crontab(hour=20, minute=9), "options": {"expires": 3600}},
    "audit": {"task": "ledger.audit", "schedule": crontab(hour=18, minute=30), "options": {"expires": 3600}},
    "vouchers": {"task": "vouchers.expire_overdue", "schedule": 300.0, "options": {"expires": 300}},
    "settlements": {"task": "vouchers.draft_settlements", "schedule": 3600.0, "options": {"expires": 3600}},
    "rail payouts": {"task": "vouchers.look_at_rail_payouts", "schedule": 30.0, "options": {"expires": 30}},
    "payees": {"task": "vouchers.enforce_accounts", "schedule": 300.0, "options": {"expires": 300}},
    "payments": {"task": "payments.look", "schedule": 10.0, "options": {"expires": 10}},
    "payment notices": {"task": "payments.fetch_notices", "schedule": 300.0, "options": {"expires": 300}},
    "applications": {"task": "vouchers.lapse_overdue", "schedule": 300.0, "options": {"expires": 300}},
}
