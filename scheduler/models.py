"""Index of the scheduler's tables, for Django only; nothing inside the app imports it."""

from scheduler.allocations.models import Allocation
from scheduler.availability.models import (
    Claim,
    Closure,
    FreeGap,
    OpeningHours,
    OpenPeriod,
    SpecialOpening,
)
from scheduler.beamtime.models import (
    BeamAllocation,
    BeamLoss,
    BeamQuote,
    BeamTraining,
    BeamVisit,
    Compensation,
    DraftPlace,
    ScheduleDraft,
    VisitParticipant,
    VisitReport,
)
from scheduler.benches.models import BenchSign
from scheduler.bookings.fee_models import LateFee
from scheduler.bookings.models import (
    Booking,
    BookingMove,
    BookingSeries,
    BookingTerms,
    ChargeTerms,
    CounterOffer,
    Session,
    SessionReading,
)
from scheduler.bookings.swap_models import Swap
from scheduler.calendars.models import CalendarImport, ExternalBusy, ExternalCalendar
from scheduler.catalogue.models import Admission, InstrumentFile
from scheduler.clusters.models import (
    ClusterPool,
    ClusterStatus,
    HealthReading,
    Incident,
    KeyRotation,
    OrphanJob,
    PoolUse,
)
from scheduler.conduct.models import ConductRule, Violation
from scheduler.displacements.models import Displacement, DisplacementOption, Outage, OutageNotice
from scheduler.disputes.models import Dispute
from scheduler.engagements.models import Engagement, EngagementQuote, EngagementQuoteLine, Milestone
from scheduler.facilities.models import (
    Beamline,
    Device,
    DeviceClash,
    DeviceFit,
    Facility,
    FacilityCourse,
    MachinePeriod,
    Partner,
    PartnerPart,
    PoolShare,
    RunCycle,
)
from scheduler.feeds.models import FeedReader, FeedToken
from scheduler.invitations.models import CalendarMail, CalendarMailChoice
from scheduler.jobfiles.models import JobFile, JobSecret, JobUpload
from scheduler.jobs.doubt_models import ClusterBreaker, JobAlert, JobEvidence
from scheduler.jobs.models import Job, JobCharge, JobDependency, JobLine, JobRun, JobTaskCancel
from scheduler.limits.models import ClusterAccount, LimitDrift, LimitPolicy
from scheduler.maintenance.models import MaintenanceWindow
from scheduler.messages.models import Message
from scheduler.metering.models import JobAudit, QuarantinedRun, Sweep, UnmanagedRun
from scheduler.panels.models import Appeal, Assessment, Grading, Panel, Panelist, RankedRequest, Ranking
from scheduler.proposals.models import (
    BeamProposal,
    BeamRequest,
    BeamSample,
    CallForm,
    ProposalAnswer,
    ProposalCall,
    TeamMember,
)
from scheduler.qualifications.models import Calibration, Qualification
from scheduler.quotas.models import QuotaRule
from scheduler.ratings.models import Rating
from scheduler.resources.models import Cluster, Instrument, Partition, Rate, Resource, Skill
from scheduler.samples.models import Custody, Sample, SampleOrder
from scheduler.templates.models import JobTemplate, JobTemplateVersion
from scheduler.usage.models import UsageRecord
from scheduler.waitlist.models import WaitlistEntry, WaitlistLook, WaitlistOffer

__all__ = [
    "Admission",
    "Allocation",
    "Appeal",
    "Assessment",
    "BeamAllocation",
    "BeamLoss",
    "BeamProposal",
    "BeamQuote",
    "BeamRequest",
    "BeamSample",
    "BeamTraining",
    "BeamVisit",
    "Beamline",
    "BenchSign",
    "Booking",
    "BookingMove",
    "BookingSeries",
    "BookingTerms",
    "CalendarImport",
    "CalendarMail",
    "CalendarMailChoice",
    "Calibration",
    "CallForm",
    "ChargeTerms",
    "Claim",
    "Closure",
    "Cluster",
    "ClusterAccount",
    "ClusterBreaker",
    "ClusterPool",
    "ClusterStatus",
    "Compensation",
    "ConductRule",
    "CounterOffer",
    "Custody",
    "Device",
    "DeviceClash",
    "DeviceFit",
    "Displacement",
    "DisplacementOption",
    "Dispute",
    "DraftPlace",
    "Engagement",
    "EngagementQuote",
    "EngagementQuoteLine",
    "ExternalBusy",
    "ExternalCalendar",
    "Facility",
    "FacilityCourse",
    "FeedReader",
    "FeedToken",
    "FreeGap",
    "Grading",
    "HealthReading",
    "Incident",
    "Instrument",
    "InstrumentFile",
    "Job",
    "JobAlert",
    "JobAudit",
    "JobCharge",
    "JobDependency",
    "JobEvidence",
    "JobFile",
    "JobLine",
    "JobRun",
    "JobSecret",
    "JobTaskCancel",
    "JobTemplate",
    "JobTemplateVersion",
    "JobUpload",
    "KeyRotation",
    "LateFee",
    "LimitDrift",
    "LimitPolicy",
    "MachinePeriod",
    "MaintenanceWindow",
    "Message",
    "Milestone",
    "OpenPeriod",
    "OpeningHours",
    "OrphanJob",
    "Outage",
    "OutageNotice",
    "Panel",
    "Panelist",
    "Partition",
    "Partner",
    "PartnerPart",
    "PoolShare",
    "PoolUse",
    "ProposalAnswer",
    "ProposalCall",
    "Qualification",
    "QuarantinedRun",
    "QuotaRule",
    "RankedRequest",
    "Ranking",
    "Rate",
    "Rating",
    "Resource",
    "RunCycle",
    "Sample",
    "SampleOrder",
    "ScheduleDraft",
    "Session",
    "SessionReading",
    "Skill",
    "SpecialOpening",
    "Swap",
    "Sweep",
    "TeamMember",
    "UnmanagedRun",
    "UsageRecord",
    "Violation",
    "VisitParticipant",
    "VisitReport",
    "WaitlistEntry",
    "WaitlistLook",
    "WaitlistOffer",
]
