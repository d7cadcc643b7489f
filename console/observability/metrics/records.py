"""Rows of metrics: what was counted of each source so far, and behind which number counting goes on."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class MetricMark(models.Model):
    """Up to which row of a source the totals count. Everything up to `counted_upto` is final and counted once.

    `coming_upto` was the newest number when transactions `coming_running` were under way: once none of them is, every
    row up to it is there (counting.py).
    """

    source = models.CharField(max_length=40, primary_key=True)
    counted_upto = models.BigIntegerField(default=0)
    coming_upto = models.BigIntegerField(null=True)
    coming_running = ArrayField(models.BigIntegerField(), default=list)
    counted_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.source} up to {self.counted_upto}"


class MetricTotal(models.Model):
    """The total of one series, as sources.py names it; written with its source's mark in one transaction."""

    source = models.CharField(max_length=40)
    series = models.CharField(max_length=60)
    labels = ArrayField(models.CharField(max_length=120))
    value = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "series", "labels"], name="one_total_per_series")
        ]

    def __str__(self) -> str:
        return f"{self.series} {self.labels}: {self.value:g}"
