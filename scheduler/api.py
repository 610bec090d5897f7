"""Index of the scheduler's routers, for ``portal/api.py`` only."""

from ninja import Router

from scheduler.allocations.api import router as allocations
from scheduler.availability.api import router as availability
from scheduler.beamtime.figures_api import router as beam_figures
from scheduler.beamtime.granting_api import rankings as list_decisions
from scheduler.beamtime.granting_api import router as grants
from scheduler.beamtime.losses_api import by_visit as compensations
from scheduler.beamtime.losses_api import router as losses
from scheduler.beamtime.plan_api import router as machine_plans
from scheduler.beamtime.planning_api import drafting as beam_drafts
from scheduler.beamtime.planning_api import offers as beam_offers
from scheduler.beamtime.planning_api import schedules as beam_schedules
from scheduler.beamtime.quotes_api import router as beam_quotes
from scheduler.beamtime.visit_api import router as visits
from scheduler.benches.api import router as benches
from scheduler.bookings.api import router as bookings
from scheduler.bookings.counteroffer_api import router as counter_offers
from scheduler.bookings.metering_api import instruments as charge_terms
from scheduler.bookings.metering_api import router as metering
from scheduler.bookings.moving_api import router as moving
from scheduler.bookings.prepay_api import router as payment_terms
from scheduler.bookings.series_api import router as series
from scheduler.bookings.swap_api import router as swaps
from scheduler.bookings.terms_api import router as booking_terms
from scheduler.calendars.api import router as calendars
from scheduler.catalogue.admissions_api import router as admissions
from scheduler.catalogue.api import router as catalogue
from scheduler.catalogue.files_api import router as instrument_files
from scheduler.clusters.api import router as boards
from scheduler.conduct.api import router as conduct
from scheduler.displacements.api import choosing, declaring, outages
from scheduler.disputes.api import router as disputes
from scheduler.engagements.api import router as engagements
from scheduler.facilities.api import router as facilities
from scheduler.feeds.api import router as feeds
from scheduler.invitations.api import router as calendar_mails
from scheduler.jobfiles.api import router as job_files
from scheduler.jobfiles.api import secrets_router as job_secrets
from scheduler.jobs.api import router as jobs
from scheduler.jobs.files_api import router as files_of_jobs
from scheduler.jobs.receipts_api import router as receipts
from scheduler.jobs.submitting_api import router as submitting
from scheduler.limits.api import router as limits
from scheduler.maintenance.api import router as maintenance
from scheduler.messages.api import router as messages
from scheduler.metering.api import router as compute
from scheduler.panels.api import rankings, reviews
from scheduler.panels.api import router as panels
from scheduler.panels.assessing_api import answers as beam_answers
from scheduler.panels.assessing_api import appealing
from scheduler.panels.assessing_api import router as assessments
from scheduler.proposals.api import router as beam_proposals
from scheduler.proposals.calls_api import router as calls
from scheduler.proposals.desk_api import router as proposal_desk
from scheduler.qualifications.api import instruments as standing
from scheduler.qualifications.api import router as operators
from scheduler.quotas.api import router as quotas
from scheduler.ratings.api import router as ratings
from scheduler.resources.api import clusters, instruments
from scheduler.resources.partitions_api import router as partitions
from scheduler.resources.terms_api import router as prices
from scheduler.samples.api import router as samples
from scheduler.samples.withdrawals_api import router as withdrawals
from scheduler.search.api import router as search
from scheduler.templates.api import router as templates
from scheduler.waitlist.api import counting
from scheduler.waitlist.api import router as waitlist

routers: tuple[tuple[str, Router], ...] = (
    ("/instruments", search),
    ("/instruments", catalogue),
    ("/instruments", admissions),
    ("/instruments", instruments),
    ("/instruments", availability),
    ("/instruments", prices),
    ("/instruments", calendars),
    ("/instruments", booking_terms),
    ("/instruments", payment_terms),
    ("/instruments", instrument_files),
    ("/instruments", withdrawals),
    ("/instruments", charge_terms),
    ("/instruments", declaring),
    ("/instruments", counting),
    ("/waitlist", waitlist),
    ("/messages", messages),
    ("/outages", outages),
    ("/bookings", choosing),
    ("/instruments", standing),
    ("/operators", operators),
    ("/quotas", quotas),
    ("/clusters", clusters),
    ("/clusters", limits),
    ("/allocations", allocations),
    ("/clusters", boards),
    ("/clusters", maintenance),
    ("/clusters", partitions),
    ("/bookings", bookings),
    ("/feeds", feeds),
    ("/calendar-mails", calendar_mails),
    ("/bookings", moving),
    ("/bookings", metering),
    ("/series", series),
    ("/bookings", counter_offers),
    ("/swaps", swaps),
    ("/job-templates", templates),
    ("/jobs", submitting),
    ("/jobs", jobs),
    ("/jobs", receipts),
    ("/jobs", files_of_jobs),
    ("/compute", compute),
    ("/job-files", job_files),
    ("/job-secrets", job_secrets),
    ("/samples", samples),
    ("/engagements", engagements),
    ("/benches", benches),
    ("/ratings", ratings),
    ("/disputes", disputes),
    ("/conduct", conduct),
    ("/calls", calls),
    ("/beam-proposals", beam_proposals),
    ("/proposal-desk", proposal_desk),
    ("/facilities", facilities),
    ("/facilities", machine_plans),
    ("/beam-quotes", beam_quotes),
    ("/visits", visits),
    ("/visits", compensations),
    ("/facilities", losses),
    ("/facilities", beam_figures),
    ("/beam-schedules", beam_schedules),
    ("/beam-drafts", beam_drafts),
    ("/beam-offers", beam_offers),
    ("/assessments", assessments),
    ("/panels", panels),
    ("/reviews", reviews),
    ("/rankings", rankings),
    ("/rankings", list_decisions),
    ("/grants", grants),
    ("/appeals", appealing),
    ("/beam-answers", beam_answers),
)
