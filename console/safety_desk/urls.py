"""The addresses of the Safety room, under /staff/safety/."""

from django.urls import path

from console.safety_desk import policy

urlpatterns = [
    path("policy/", policy.policy, name="safety_policy"),
    path("policy/pattern", policy.pattern, name="safety_policy_pattern"),
    path("policy/change", policy.change, name="safety_policy_change"),
    path("policy/changes/<int:entry_id>/undo", policy.undo, name="safety_policy_undo"),
    path("policy/frames/<int:scan_id>/<int:index>.jpg", policy.frame, name="safety_policy_frame"),
]
