"""The addresses of the Billing room, under /staff/billing/."""

from django.urls import path

from console.billing import adjustments, contracts, organizations, prices, promotions, revenue, settings, work

urlpatterns = [
    path("", organizations.find, name="billing_organizations"),
    path("organizations/<slug:slug>/", organizations.organization, name="billing_organization"),
    path("organizations/<slug:slug>/lines/", organizations.lines, name="billing_organization_lines"),
    path("organizations/<slug:slug>/lines/<int:line_id>/", work.line, name="billing_line"),
    path("organizations/<slug:slug>/credits/<slug:verb>/", adjustments.change, name="billing_adjust"),
    path("organizations/<slug:slug>/contract/", contracts.contract, name="billing_contract"),
    path(
        "organizations/<slug:slug>/invoices/<int:invoice_id>/paid",
        contracts.invoice_paid,
        name="billing_invoice_paid",
    ),
    path("work/<job:job_id>/", work.job, name="billing_work"),
    path("decisions/<uuid:decision_id>/", work.decision, name="billing_decision"),
    path("prices/", prices.prices, name="billing_prices"),
    path("prices/changes/<int:entry_id>/undo", prices.undo, name="billing_price_undo"),
    path("promotions/", promotions.promotions, name="billing_promotions"),
    path("promotions/<int:promotion_id>/", promotions.promotion, name="billing_promotion"),
    path("promotions/<int:promotion_id>/withdraw", promotions.withdraw, name="billing_promotion_withdraw"),
    path("revenue/", revenue.revenue, name="billing_revenue"),
    path("revenue/lines/", revenue.lines, name="billing_revenue_lines"),
    path("revenue/<slug:report>.csv", revenue.csv, name="billing_revenue_csv"),
    path("settings/", settings.settings, name="billing_settings"),
]
