"""The addresses of changes, under /operate/changes/."""

from django.urls import path

from console.changes import pages

urlpatterns = [
    path("", pages.changes, name="operate_changes"),
    path("<int:entry_id>/take-back", pages.undo, name="operate_change_undo"),
]
