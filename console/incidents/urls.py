"""The addresses of incidents, under /operate/incidents/."""

from django.urls import path

from console.incidents import pages, streams

urlpatterns = [
    path("", pages.incidents, name="operate_incidents"),
    path("open", pages.open_one, name="operate_incident_open"),
    path("events", streams.board_events, name="operate_incidents_events"),
    path("settings", pages.settings, name="operate_incident_settings"),
    path("<int:incident_id>/", pages.incident, name="operate_incident"),
    path("<int:incident_id>/events", streams.incident_events, name="operate_incident_events"),
    path("<int:incident_id>/change/<slug:verb>", pages.change, name="operate_incident_change"),
    path("<int:incident_id>/note", pages.note, name="operate_incident_note"),
    path("<int:incident_id>/follow-ups", pages.follow_up, name="operate_incident_follow_up"),
    path("<int:incident_id>/follow-ups/<int:task_id>/done", pages.done, name="operate_incident_done"),
    path("<int:incident_id>/export.<slug:form>", pages.export, name="operate_incident_export"),
]
