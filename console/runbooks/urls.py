"""The addresses of runbooks, under /operate/runbooks/."""

from django.urls import path

from console.runbooks import pages

urlpatterns = [
    path("", pages.runbooks, name="operate_runbooks"),
    path("<slug:slug>/", pages.runbook, name="operate_runbook"),
    path("<slug:slug>/do", pages.do, name="operate_runbook_do"),
]
