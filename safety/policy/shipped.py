"""The policy rows an installation starts with beside rules and thresholds."""

from safety import shipped

AUTHOR = "Backlot"
STARTS = "What an installation starts with."
KINDS = ("private_person", "public_figure", "politician")

# (slug, label, benign?). The first seven are those of the text filter (spec § 4), the rest what prompts are about.
CATEGORIES: tuple[tuple[str, str, bool], ...] = (
    ("jailbreak", "Jailbreak", False),
    ("prompt_injection", "Prompt injection", False),
    ("child_safety", "Child safety", False),
    ("sexual", "Sexual content", False),
    ("likeness", "Likeness of a real person", False),
    ("violence", "Violence", False),
    ("deception", "Deceptive depiction of real events", False),
    ("people", "People", True),
    ("animals", "Animals", True),
    ("nature", "Nature", True),
    ("city", "City and buildings", True),
    ("vehicles", "Vehicles", True),
    ("objects", "Objects", True),
    ("food", "Food", True),
    ("sport", "Sport", True),
    ("abstract", "Shapes and patterns", True),
    ("code", "Code", True),
    ("other", "Anything else", True),
)


def plant(likeness_model, scan_policy_model, category_model, threshold_model) -> None:
    """Put the rows where they are missing; likeness kinds start with the scores in the class's own row."""
    base = threshold_model.objects.filter(frame_class="likeness").first()
    block, review = (base.block_score, base.review_score) if base else (0.9, 0.7)
    for kind in KINDS:
        likeness_model.objects.get_or_create(
            kind=kind,
            defaults={"block_score": block, "review_score": review, "author": AUTHOR, "reason": STARTS},
        )
    scan_policy_model.objects.get_or_create(name="scans", defaults={"author": AUTHOR, "reason": STARTS})
    plant_categories(category_model)


def plant_categories(category_model) -> None:
    for slug, label, benign in CATEGORIES:
        category_model.objects.get_or_create(
            slug=slug, defaults={"label": label, "benign": benign, "author": AUTHOR, "reason": STARTS}
        )


def keep_likeness_overrides(threshold_model, likeness_model, likeness_override_model) -> None:
    """Live changes of the class likeness go on holding for every kind, until they end as they would have."""
    base = threshold_model.objects.filter(frame_class="likeness").first()
    standing = base.overrides.filter(removed_at=None) if base else ()
    for override in standing:
        for threshold in likeness_model.objects.all():
            likeness_override_model.objects.create(
                threshold=threshold,
                field=override.field,
                value=override.value,
                author_kind=override.author_kind,
                author=override.author,
                reason=override.reason,
                created_at=override.created_at,
                expires_at=override.expires_at,
            )


def widen_canary_rules(rule_model) -> None:
    """The canary rules of installations that began before: they knew the phrases with hyphens alone."""
    for category, *_ in CATEGORIES[:7]:
        narrow = rf"\bbacklot-canary-{category.replace('_', '-')}\b"
        for rule in rule_model.objects.filter(category=category, pattern=narrow):
            rule.pattern = shipped.canary_pattern(category)
            rule.save(update_fields=["pattern"])
