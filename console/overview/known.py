"""What there is to filter by: pools, tiers and models, with their names for people."""

from collections.abc import Mapping

from accounts.models import Tier
from generation.models import Pool, RegisteredModel

Known = Mapping[str, Mapping[str, str]]


def there_are() -> Known:
    """The pools, tiers and models that an address may name; three queries."""
    models = RegisteredModel.objects.order_by("name").values_list("name", flat=True).distinct()
    return {
        "pool": {
            pool: pool.capitalize() for pool in Pool.objects.order_by("slug").values_list("slug", flat=True)
        },
        "tier": dict(Tier.objects.values_list("slug", "name")),
        "model": {name: name for name in models},
    }
