"""The addresses of the Safety room, under /staff/safety/."""

from django.urls import path

from console.safety_desk import policy, provenance

urlpatterns = [
    path("policy/", policy.policy, name="safety_policy"),
    path("policy/pattern", policy.pattern, name="safety_policy_pattern"),
    path("policy/change", policy.change, name="safety_policy_change"),
    path("policy/changes/<int:entry_id>/undo", policy.undo, name="safety_policy_undo"),
    path("policy/frames/<int:scan_id>/<int:index>.jpg", policy.frame, name="safety_policy_frame"),
    path("provenance/", provenance.provenance, name="safety_provenance"),
    path("provenance/rotate", provenance.rotate, name="safety_provenance_rotate"),
    path("provenance/retry", provenance.retry, name="safety_provenance_retry"),
    path("provenance/changes/<int:entry_id>/undo", provenance.undo, name="safety_provenance_undo"),
]
