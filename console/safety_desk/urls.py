"""The addresses of the Safety room, under /staff/safety/."""

from django.urls import path

from console.safety_desk import incidents, policy, provenance, pulls, review, reviewers, text, withdrawals

urlpatterns = [
    path("text/", text.text, name="safety_text"),
    path("policy/", policy.policy, name="safety_policy"),
    path("policy/pattern", policy.pattern, name="safety_policy_pattern"),
    path("policy/change", policy.change, name="safety_policy_change"),
    path("policy/changes/<int:entry_id>/undo", policy.undo, name="safety_policy_undo"),
    path("policy/frames/<int:scan_id>/<int:index>.jpg", policy.frame, name="safety_policy_frame"),
    path("provenance/", provenance.provenance, name="safety_provenance"),
    path("provenance/rotate", provenance.rotate, name="safety_provenance_rotate"),
    path("provenance/retry", provenance.retry, name="safety_provenance_retry"),
    path("provenance/changes/<int:entry_id>/undo", provenance.undo, name="safety_provenance_undo"),
    path("review/", review.queue, name="safety_review"),
    path("review/<int:item_id>/", review.item, name="safety_review_item"),
    path("review/<int:item_id>/claim", review.claim, name="safety_review_claim"),
    path("review/<int:item_id>/release", review.release, name="safety_review_release"),
    path("review/<int:item_id>/reveal", review.reveal, name="safety_review_reveal"),
    path("review/<int:item_id>/decide", review.decide, name="safety_review_decide"),
    path("review/<int:item_id>/frames/<int:index>.webp", review.frame, name="safety_review_frame"),
    path("pulls/", pulls.pull, name="safety_pull"),
    path("pulls/apply", pulls.apply, name="safety_pull_apply"),
    path("pulls/<int:pull_id>/undo", pulls.undo, name="safety_pull_undo"),
    path("withdrawals/", withdrawals.withdrawals, name="safety_withdrawals"),
    path("withdrawals/withdraw", withdrawals.withdraw, name="safety_withdraw"),
    path("withdrawals/<int:withdrawal_id>/restore", withdrawals.restore, name="safety_restore"),
    path("reviewers/", reviewers.reviewers, name="safety_reviewers"),
    path("reviewers/grant", reviewers.grant, name="safety_reviewer_grant"),
    path("reviewers/<int:reviewer_id>/withdraw", reviewers.withdraw, name="safety_reviewer_withdraw"),
    path("reviewers/change", reviewers.change, name="safety_reviewers_change"),
    path("reviewers/changes/<int:entry_id>/undo", reviewers.undo, name="safety_reviewers_undo"),
    path("incidents/", incidents.listed, name="safety_incidents"),
    path("incidents/open", incidents.open_by_hand, name="safety_incident_open"),
    path("incidents/<int:incident_id>/", incidents.incident, name="safety_incident"),
    path("incidents/<int:incident_id>/note", incidents.note, name="safety_incident_note"),
    path("incidents/<int:incident_id>/state", incidents.state, name="safety_incident_state"),
    path("incidents/<int:incident_id>/export.json", incidents.export, name="safety_incident_export"),
]
