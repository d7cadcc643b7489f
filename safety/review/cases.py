"""Decisions of reviewers become cases of the golden and adversarial sets: the one place that hands them on."""

from accounts.models import User
from safety.golden import cases as golden
from safety.models import ReviewClass, ReviewItem

# Frame class of an item → category of the text filter. What isn't here never becomes a case that must be blocked.
CATEGORIES = {
    ReviewClass.LIKENESS: "likeness",
    ReviewClass.INTIMATE: "sexual",
    ReviewClass.VIOLENCE: "violence",
    ReviewClass.DECEPTION: "deception",
}


def feed(item: ReviewItem, prompt: str, person: User, reason: str) -> bool:
    """Add the prompt as a case: must pass where the item passed, must be blocked where it was refused.

    False where the class gives no case: child safety's cases are registered by hand, as placeholders alone. Raises
    `ApiError` where a standing case contradicts it.
    """
    passed = item.state == ReviewItem.State.PASSED
    category = "" if passed else CATEGORIES.get(item.review_class, "")
    if item.review_class == ReviewClass.CHILD_SAFETY or not (passed or category):
        return False
    case = golden.Case(
        expected="must_pass" if passed else "must_block", category=category, text=prompt, kinds=("clip",)
    )
    golden.add(case, f"review:{item.pk}", reason, person.email)
    return True
