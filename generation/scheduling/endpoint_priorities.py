"""A lane's place in the queue inside an endpoint, by the weight that is in force."""

import time

from django.utils import timezone

from generation.policy import endpoint
from generation.scheduling import lane_settings

READ_EVERY_S = 5.0


class Priorities:
    """The lanes of one pool. Weights are read anew every few seconds: a stream begins without a query."""

    def __init__(self, pool_slug: str) -> None:
        self._pool = pool_slug
        self._known: dict[str, int] = {}
        self._read_at = -READ_EVERY_S

    def of_lane(self, slug: str) -> int:
        """Lower goes earlier. A lane of another pool, or none, goes last."""
        if time.monotonic() - self._read_at >= READ_EVERY_S:
            now = timezone.now()
            self._known = {
                lane.slug: endpoint.priority(lane_settings.effective(lane, now).weight)
                for lane in lane_settings.lanes(self._pool)
            }
            self._read_at = time.monotonic()
        return self._known.get(slug, 0)
