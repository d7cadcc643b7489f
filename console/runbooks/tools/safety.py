"""Tools of trust & safety: rules, suspensions, thresholds, clips that were delivered, the signer."""

from datetime import timedelta
from uuid import UUID

from accounts.actions import Action
from accounts.errors import ApiError
from accounts.models import StaffRole, User
from console.runbooks.tools.shapes import MOMENT, Asked, Choices, Field, Given, Look, Tool, moment_of
from console.safety_desk import policy_looks
from console.safety_desk.provenance import SOURCES
from console.safety_desk.withdrawals import CLIP
from generation.afterwards.pulls import PullIntoReview, Window
from generation.afterwards.withdrawal_actions import MOST_CLIPS, WithdrawClips
from generation.credentials.held_actions import RetrySigning
from generation.models import Job, Withdrawal
from safety.credentials.signer_actions import RotateSigner
from safety.models import Category, FrameClass, PromptCategory, ReviewClass, ReviewItem
from safety.policy import thresholds
from safety.policy.actions import ChangeScanPolicy, ChangeThreshold, SuspendCategory
from safety.policy.records import Faces
from safety.policy.rule_actions import KINDS, AddRule

TRUST_SAFETY = StaffRole.Role.TRUST_SAFETY
PULLED_BACK = timedelta(hours=2)
SHOWN = 40


def flips(person: User, action: Action, given: Given) -> Look:
    """Recent traffic and the golden sets, ruled as it is and as proposed."""
    seen = policy_looks.look(person, action)
    return Look(seen.preview, policy=seen)


def _number(given: Given) -> float:
    try:
        return float(given.get("value", ""))
    except ValueError:
        raise ApiError("invalid_value", "Give the score as a number, such as 0.8.", param="value") from None


ADD_RULE = Tool(
    "add_rule",
    "Add a hard rule",
    "Prompts in which the pattern is found are refused, from the next request on. Tried on recent requests first.",
    TRUST_SAFETY,
    (
        Field("pattern", "Pattern", "long", hint="RE2, as it is typed in the policy."),
        Field("category", "Refused as", "choice", lambda asked: Category.choices),
        Field(
            "kinds",
            "In prompts for",
            "several",
            lambda asked: [(k, v.capitalize()) for k, v in KINDS.items()],
        ),
    ),
    lambda given: AddRule(given.get("pattern", ""), given.get("category", ""), tuple(given.get("kinds", ()))),
    flips,
    preset=lambda asked: {"kinds": ("clip",)},
)


def category_choices(asked: Asked) -> Choices:
    """Prompt categories of clips, the alarm's own first, then the same of code."""
    rows = list(PromptCategory.objects.order_by("label"))
    rows.sort(key=lambda row: row.slug != asked.scope)
    return [(f"{row.slug}/{kind}", f"{row.label}, {words}") for kind, words in KINDS.items() for row in rows]


def _suspend(given: Given) -> Action:
    row = given.get("row", "")
    return SuspendCategory(row, f"{row.partition('/')[2]}_suspended", True)


SUSPEND_CATEGORY = Tool(
    "suspend_category",
    "Suspend a prompt category",
    "Requests in it are refused with a clear error until that ends.",
    TRUST_SAFETY,
    (Field("row", "Category", "choice", category_choices),),
    _suspend,
    flips,
    preset=lambda asked: {"row": category_choices(asked)[0][0]} if asked.scope else {},
)
SUSPEND_FACES = Tool(
    "suspend_faces",
    "Suspend clips with faces",
    "What becomes of clips in which a face is seen, apart from whose it is.",
    TRUST_SAFETY,
    (Field("value", "Clips with faces", "choice", lambda asked: Faces.choices[::-1]),),
    lambda given: ChangeScanPolicy("faces", "faces", given.get("value", "")),
    flips,
    preset=lambda asked: {"value": Faces.BLOCK},
)


def threshold_choices(asked: Asked) -> Choices:
    """Every class of frames with its block score in force."""
    found = thresholds.standing(asked.now)
    return [
        (name, f"{FrameClass(name).label}, blocks from {found[name].block_score:g}")
        for name in FrameClass.values
        if name in found
    ]


TIGHTEN = Tool(
    "tighten_threshold",
    "Tighten a threshold",
    "From which score on a class of frames is blocked: a lower one blocks more.",
    TRUST_SAFETY,
    (
        Field("row", "Class", "choice", threshold_choices),
        Field("value", "Block from", "number", hint="A share above 0 and up to 1."),
    ),
    lambda given: ChangeThreshold(given.get("row", ""), "block_score", _number(given)),
    flips,
)


def last_hours(asked: Asked) -> Given:
    """The last two hours, to the end of this minute."""
    return {
        "since": (asked.now - PULLED_BACK).strftime(MOMENT),
        "until": (asked.now + timedelta(minutes=1)).strftime(MOMENT),
        "class": ReviewClass.OTHER,
    }


def _any_category(asked: Asked) -> Choices:
    rows = PromptCategory.objects.order_by("label").values_list("slug", "label")
    return [("", "Any"), *rows]


def _pull(given: Given) -> Action:
    window = Window(
        moment_of(given, "since"),
        moment_of(given, "until"),
        given.get("pattern", "").strip(),
        given.get("category", ""),
    )
    return PullIntoReview(window, given.get("class", ""))


PULL_WINDOW = Tool(
    "pull_window",
    "Pull a window into review",
    "Delivered clips of a span are withheld at once, until somebody has decided.",
    TRUST_SAFETY,
    (
        Field("since", "From, UTC", "moment"),
        Field("until", "Until, UTC", "moment"),
        Field("category", "Prompt category", "choice", _any_category, required=False),
        Field(
            "pattern", "Pattern in the prompt", "text", hint="RE2; nothing is every prompt.", required=False
        ),
        Field("class", "What reviewers look for", "choice", lambda asked: ReviewClass.choices),
    ),
    _pull,
    expires=False,
    preset=last_hours,
)


def clips_in_review(asked: Asked) -> Choices:
    """Delivered clips that wait for a person, the newest first: short ids and what they are looked at for."""
    items = ReviewItem.objects.filter(state__in=ReviewItem.WAITING).exclude(kind=ReviewItem.Kind.SCAN)
    rows = list(items.order_by("-opened_at").values_list("subject", "review_class")[:SHOWN])
    jobs = Job.objects.in_bulk([subject for subject, _ in rows])
    known = {str(pk): job for pk, job in jobs.items()}
    return [
        (known[subject].public_id, f"{known[subject].public_id[:14]}…, {ReviewClass(kind).label.lower()}")
        for subject, kind in rows
        if subject in known
    ]


def _clips(given: Given) -> Action:
    named = [*given.get("clips", ()), *given.get("others", "").replace(",", " ").split()]
    jobs = []
    for name in dict.fromkeys(named):
        match = CLIP.fullmatch(name)
        if match is None:
            message = f"{name!r:.60} is no clip: give video_ and 32 hexadecimal digits."
            raise ApiError("invalid_value", message, param="others")
        jobs.append(UUID(match[1]))
    return WithdrawClips(tuple(jobs), given.get("disposal", ""))


DELETE_CLIPS = Tool(
    "delete_clips",
    "Delete confirmed clips",
    f"Every link to them dies at once. Up to {MOST_CLIPS} at a time.",
    TRUST_SAFETY,
    (
        Field("clips", "Delivered clips that wait in review", "several", clips_in_review, required=False),
        Field("others", "Others", "long", hint="video_… ids, one per line.", required=False),
        Field(
            "disposal",
            "Their files",
            "choice",
            lambda asked: (
                (Withdrawal.Disposal.QUARANTINE, "Into quarantine: a second person can bring them back"),
                (Withdrawal.Disposal.DELETE, "Deleted for good: takes a second person"),
            ),
        ),
    ),
    _clips,
    expires=False,
)
ROTATE_SIGNER = Tool(
    "rotate_signer",
    "Rotate the signer",
    "Clips are signed with another key from the next signing on; what the old one signed stays Trusted.",
    TRUST_SAFETY,
    (
        Field("source", "New key", "choice", lambda asked: SOURCES),
        Field("location", "Where it lies", "text", hint="Nothing for a new development key.", required=False),
    ),
    lambda given: RotateSigner(given.get("source", ""), given.get("location", "")),
    expires=False,
)
RETRY_SIGNING = Tool(
    "retry_signing",
    "Try the signer again",
    "Clips that wait for it are tried in the next round.",
    TRUST_SAFETY,
    (),
    lambda given: RetrySigning(),
    expires=False,
)

TOOLS = (
    ADD_RULE,
    SUSPEND_CATEGORY,
    SUSPEND_FACES,
    TIGHTEN,
    PULL_WINDOW,
    DELETE_CLIPS,
    ROTATE_SIGNER,
    RETRY_SIGNING,
)
