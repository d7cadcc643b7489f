"""The addresses of all HTML pages. Errors under these are plain pages; under /v1, /api and /media they are JSON."""

from django.urls import include, path, register_converter

from accounts import audit_pages, member_pages
from accounts import pages as account_pages
from accounts.staff_pages import access as staff_access
from accounts.staff_pages import approvals as staff_approvals
from accounts.staff_pages import tiers as staff_tiers
from accounts.webhooks import pages as webhook_pages
from billing import pages as billing_pages
from billing import pages_budgets, pages_invoices, pages_notices, pages_statement, pages_usage
from billing.payments import pages as credit_pages
from billing.payments import sandbox_pages
from console import balance_events, preferences, purchase_events, styleguide
from console.operations import alarms as operate_alarms
from console.operations import costs as operate_costs
from console.operations import files as operate_files
from console.operations import jobs as operate_jobs
from console.operations import lane_changes as operate_lane_changes
from console.operations import lanes as operate_lanes
from console.operations import models as operate_models
from console.operations import scheduling as operate_scheduling
from console.operations import workers as operate_workers
from console.overview import pages as overview
from console.palette import page as palette
from generation.pages import (
    addresses,
    code,
    history,
    job,
    library,
    public_report,
    reports,
    sharing,
    spending,
    studio,
)
from safety.credentials import verify_page

register_converter(addresses.JobAddress, "job")

urlpatterns = [
    path("", preferences.landing, name="studio"),
    path("studio/submit", studio.submit, name="studio_submit"),
    path("studio/quote", studio.quote, name="studio_quote"),
    path("studio/events", studio.events, name="studio_events"),
    path("jobs/<job:job_id>/", job.job, name="job"),
    path("jobs/<job:job_id>/events", job.events, name="job_events"),
    path("jobs/<job:job_id>/cancel", job.cancel, name="job_cancel"),
    path("jobs/<job:job_id>/clip", job.clip, name="job_clip"),
    path("jobs/<job:job_id>/preview", job.preview, name="job_preview"),
    path("jobs/<job:job_id>/report", reports.report, name="job_report"),
    path("jobs/<job:job_id>/share", sharing.share, name="job_share"),
    path("jobs/<job:job_id>/shares/<int:share_id>/revoke", sharing.revoke, name="job_unshare"),
    path("code/", code.code, name="code"),
    path("code/quote", code.quote, name="code_quote"),
    path("code/<job:job_id>/", code.answer, name="code_answer"),
    path("code/<job:job_id>/events", code.events, name="code_events"),
    path("library/", library.library, name="library"),
    path("library/compare/", library.compare, name="compare"),
    path("history/", history.jobs, name="history"),
    path("usage/", pages_usage.page, name="usage"),
    path("usage.csv", pages_usage.csv, name="usage_csv"),
    path("spending/", spending.page, name="spending"),
    path("statement/", pages_statement.lines, name="statement"),
    path("statement.csv", pages_statement.csv, name="statement_csv"),
    path("statement/refused/", pages_statement.refused, name="refusals"),
    path("statement/<int:line_id>/", pages_statement.line, name="statement_line"),
    path("statement/charges/<int:charge_id>/", pages_statement.charge, name="statement_charge"),
    path("statement/redeem", pages_statement.redeem, name="redeem_code"),
    path("budgets/", pages_budgets.page, name="budgets"),
    path("budgets/<int:budget_id>/remove", pages_budgets.remove, name="remove_budget"),
    path("notices/", pages_notices.page, name="notices"),
    path("notices/read", pages_notices.read, name="notices_read"),
    path("notices/threshold", pages_notices.threshold, name="notices_threshold"),
    path("balance/events", balance_events.events, name="balance_events"),
    path("decisions/<uuid:decision_id>/", billing_pages.decision, name="decision"),
    path("credits/", credit_pages.credits, name="buy_credits"),
    path("credits/buy", credit_pages.buy, name="buy_pack"),
    path("credits/events", purchase_events.events, name="purchase_events"),
    path("credits/top-up", credit_pages.top_up, name="auto_top_up"),
    path("credits/card/forget", credit_pages.forget_card, name="forget_card"),
    path("invoices/", pages_invoices.page, name="invoices"),
    path("sandbox/checkout/<slug:session_id>/", sandbox_pages.checkout, name="sandbox_checkout"),
    path("sandbox/checkout/<slug:session_id>/confirm", sandbox_pages.confirm, name="sandbox_confirm"),
    path("sandbox/receipts/<slug:charge_id>/", sandbox_pages.receipt, name="sandbox_receipt"),
    path("keys/", account_pages.api_keys, name="keys"),
    path("keys/<int:key_id>/revoke", account_pages.revoke_key, name="revoke_key"),
    path("keys/<int:key_id>/rotate", account_pages.rotate_key, name="rotate_key"),
    path("webhooks/", webhook_pages.webhooks, name="webhooks"),
    path("webhooks/<int:endpoint_id>/", webhook_pages.webhook, name="webhook"),
    path("webhooks/<int:endpoint_id>/rotate", webhook_pages.rotate, name="webhook_rotate"),
    path("webhooks/<int:endpoint_id>/switch", webhook_pages.switch, name="webhook_switch"),
    path("webhooks/<int:endpoint_id>/test", webhook_pages.test, name="webhook_test"),
    path("webhooks/<int:endpoint_id>/remove", webhook_pages.remove, name="webhook_remove"),
    path(
        "webhooks/<int:endpoint_id>/deliveries/<int:delivery_id>/",
        webhook_pages.delivery,
        name="webhook_delivery",
    ),
    path(
        "webhooks/<int:endpoint_id>/deliveries/<int:delivery_id>/resend",
        webhook_pages.resend,
        name="webhook_resend",
    ),
    path("members/", member_pages.members, name="members"),
    path("members/invite", member_pages.invite, name="invite_member"),
    path(
        "members/invitations/<int:invitation_id>/revoke",
        member_pages.revoke_invitation,
        name="revoke_invitation",
    ),
    path("members/<int:member_id>/role", member_pages.change_role, name="member_role"),
    path("members/<int:member_id>/remove", member_pages.remove, name="member_remove"),
    path("join/<str:token>/", member_pages.join, name="join"),
    path("audit/", audit_pages.own_log, name="own_audit"),
    path("organization", account_pages.switch, name="organization_switch"),
    path("operate/", overview.overview, name="operate_overview"),
    path("operate/overview/now", overview.now, name="operate_overview_now"),
    path("operate/overview/<slug:name>.csv", overview.chart_csv, name="operate_overview_csv"),
    path("operate/overview/<slug:name>/", overview.chart, name="operate_overview_chart"),
    path("operate/jobs/", operate_jobs.jobs, name="operate_jobs"),
    path("operate/jobs/<job:job_id>/", operate_jobs.job, name="operate_job"),
    path("operate/alarms/", operate_alarms.alarms, name="operate_alarms"),
    path("operate/alarms/changes/<int:entry_id>/undo", operate_alarms.undo, name="operate_alarm_undo"),
    path(
        "operate/alarms/silences/<int:silence_id>/end",
        operate_alarms.unsilence,
        name="operate_alarm_unsilence",
    ),
    path(
        "operate/alarms/firings/<int:firing_id>/acknowledge",
        operate_alarms.acknowledge,
        name="operate_alarm_acknowledge",
    ),
    path("operate/alarms/<slug:name>/", operate_alarms.alarm, name="operate_alarm"),
    path("operate/alarms/<slug:name>/silence", operate_alarms.silence, name="operate_alarm_silence"),
    path(
        "operate/alarms/<slug:name>/settings/<slug:field>", operate_alarms.change, name="operate_alarm_change"
    ),
    path("operate/lanes/", operate_lanes.lanes, name="operate_lanes"),
    path("operate/lanes/events", operate_lanes.events, name="operate_lanes_events"),
    path(
        "operate/lanes/<slug:slug>/<slug:field>/preview",
        operate_lane_changes.preview,
        name="operate_lane_preview",
    ),
    path("operate/lanes/<slug:slug>/<slug:field>", operate_lane_changes.change, name="operate_lane_change"),
    path("operate/changes/<int:entry_id>/undo", operate_lane_changes.undo, name="operate_undo"),
    path("operate/incidents/", include("console.incidents.urls")),
    path("operate/runbooks/", include("console.runbooks.urls")),
    path("operate/changes/", include("console.changes.urls")),
    path("operate/scheduling/", operate_scheduling.scheduling, name="operate_scheduling"),
    path(
        "operate/scheduling/changes/<int:entry_id>/undo",
        operate_scheduling.undo,
        name="operate_scheduling_undo",
    ),
    path(
        "operate/scheduling/<slug:kind>/<slug:slug>/<slug:field>",
        operate_scheduling.change,
        name="operate_scheduling_change",
    ),
    path("operate/costs/", operate_costs.costs, name="operate_costs"),
    path("operate/costs/figures", operate_costs.figures, name="operate_cost_figures"),
    path("operate/models/", operate_models.models, name="operate_models"),
    path("operate/models/<int:model_id>/gate", operate_models.gate, name="operate_model_gate"),
    path("operate/models/<int:model_id>/<slug:verb>", operate_models.change, name="operate_model_change"),
    path("operate/models/changes/<int:entry_id>/undo", operate_models.undo, name="operate_model_undo"),
    path("operate/files/", operate_files.files, name="operate_files"),
    path("operate/files/changes/<int:entry_id>/undo", operate_files.undo, name="operate_files_undo"),
    path("operate/files/<slug:tier>", operate_files.change, name="operate_files_change"),
    path("operate/workers/", operate_workers.workers, name="operate_workers"),
    path("operate/workers/events", operate_workers.events, name="operate_workers_events"),
    path("operate/workers/<uuid:worker_id>/preview", operate_workers.preview, name="operate_worker_preview"),
    path("operate/workers/<uuid:worker_id>/state", operate_workers.change, name="operate_worker_state"),
    path("operate/workers/changes/<int:entry_id>/undo", operate_workers.undo, name="operate_worker_undo"),
    path("staff/access/", staff_access.access, name="staff_access"),
    path("staff/access/policy", staff_access.policy, name="staff_sign_up_policy"),
    path("staff/access/cohorts", staff_access.open_cohort, name="staff_open_cohort"),
    path("staff/access/cohorts/<int:cohort_id>/close", staff_access.close_cohort, name="staff_close_cohort"),
    path("staff/access/codes", staff_access.make_code, name="staff_make_code"),
    path("staff/access/codes/<int:code_id>/revoke", staff_access.revoke_code, name="staff_revoke_code"),
    path("staff/access/changes/<int:entry_id>/undo", staff_access.undo, name="staff_access_undo"),
    path("staff/tiers/", staff_tiers.organizations, name="staff_tiers"),
    path("staff/tiers/<slug:slug>/", staff_tiers.organization, name="staff_tier"),
    path("staff/tiers/<slug:slug>/change", staff_tiers.change, name="staff_tier_change"),
    path("staff/tiers/<slug:slug>/changes/<int:entry_id>/undo", staff_tiers.undo, name="staff_tier_undo"),
    path("staff/approvals/", staff_approvals.approvals_page, name="staff_approvals"),
    path("staff/approvals/<int:approval_id>/<slug:verb>", staff_approvals.decide, name="staff_decide"),
    path("staff/audit/", audit_pages.audit_log, name="staff_audit"),
    path("staff/billing/", include("console.billing.urls")),
    path("staff/safety/", include("console.safety_desk.urls")),
    path("s/<str:token>/", sharing.shared, name="shared"),
    path("s/<str:token>/clip", sharing.shared_clip, name="shared_clip"),
    path("report", public_report.report, name="public_report"),
    path("verify", verify_page.verify, name="verify"),
    path("preferences", preferences.preferences, name="preferences"),
    path("search", palette.search, name="search"),
    path("styleguide", styleguide.styleguide, name="styleguide"),
]
