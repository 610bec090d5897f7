"""Index of the scheduler's Celery tasks, for Celery only."""

from scheduler.availability.tasks import follow_holidays, keep  # noqa: F401  Celery finds them by their own names
from scheduler.beamtime.tasks import keep_schedules, keep_visits
from scheduler.beamtime.tasks import release as release_shifts
from scheduler.beamtime.tasks import solve as solve_schedule
from scheduler.bookings.tasks import lapse_overdue, settle_waiting
from scheduler.calendars.tasks import poll, poll_due
from scheduler.clusters.tasks import poll as poll_cluster
from scheduler.clusters.tasks import poll_due as poll_clusters
from scheduler.displacements.tasks import keep as keep_displacements  # noqa: F401  named displacements.keep
from scheduler.disputes.tasks import settle_due
from scheduler.engagements.tasks import accept_due
from scheduler.invitations.tasks import send as send_calendar_mail
from scheduler.invitations.tasks import send_due as send_calendar_mails
from scheduler.jobfiles.tasks import sweep as sweep_job_files
from scheduler.jobs.tasks import ask_cancel, dispatch, reconcile, reconcile_all
from scheduler.limits.tasks import sync as sync_limits
from scheduler.limits.tasks import sync_all as sync_all_limits
from scheduler.messages.tasks import send_due as send_messages
from scheduler.metering.tasks import audit, sweep, sweep_all
from scheduler.proposals.tasks import lapse_due as lapse_rapid_proposals
from scheduler.proposals.tasks import send_invitations
from scheduler.waitlist.tasks import look  # noqa: F401  named waitlist.look

__all__ = [
    "accept_due",
    "ask_cancel",
    "audit",
    "dispatch",
    "keep_schedules",
    "keep_visits",
    "lapse_overdue",
    "lapse_rapid_proposals",
    "poll",
    "poll_cluster",
    "poll_clusters",
    "poll_due",
    "reconcile",
    "reconcile_all",
    "release_shifts",
    "send_calendar_mail",
    "send_calendar_mails",
    "send_invitations",
    "send_messages",
    "settle_due",
    "settle_waiting",
    "solve_schedule",
    "sweep",
    "sweep_all",
    "sweep_job_files",
    "sync_all_limits",
    "sync_limits",
]
