"""The three runbooks of the specification: clips that are not finite, a safety bypass, a rush that starves Plus."""

from console.runbooks.books.shapes import Step, book
from console.runbooks.tools.fleet import lane_of, worst_worker
from console.runbooks.tools.safety import last_hours
from console.runbooks.tools.shapes import Asked, Given


def plus_weight(asked: Asked) -> Given:
    return {"lane": lane_of("plus", asked), "value": "4"}


def free_cap(asked: Asked) -> Given:
    return {"lane": lane_of("free", asked), "value": "3"}


def plus_rule_on(asked: Asked) -> Given:
    return {"lane": lane_of("plus", asked), "value": "1"}


def restart(asked: Asked) -> Given:
    return {**worst_worker(asked), "state": "restart"}


def since_last_hours(asked: Asked) -> Given:
    found = last_hours(asked)
    return {"since": found["since"], "until": found["until"]}


NOT_FINITE = book(
    "not_finite",
    "Clips that are not finite (NaN)",
    "Latents stop being numbers and the clips end, uncharged. Thirty minutes of it cost fifteen times as much as two.",
    detect=(
        Step(
            "See what the blow-ups have in common: one worker, one revision, or one kind of prompt.",
            page="operate_workers",
            page_words="Workers",
        ),
        Step(
            "See whether a revision became active shortly before.", page="operate_models", page_words="Models"
        ),
    ),
    mitigate=(
        Step(
            "One kind of prompt: refuse it with a hard rule. The preview counts what it would have refused.",
            tool="add_rule",
            verb="Add a hard rule",
            preset=lambda asked: {"kinds": ("clip",)},
            expires="240",
        ),
        Step(
            "One worker: restart it. It gives its jobs back first.",
            tool="worker_state",
            verb="Restart the worker that keeps failing",
            preset=restart,
        ),
        Step(
            "One revision: quarantine it. Its open jobs end uncharged.",
            tool="quarantine_model",
            verb="Quarantine a revision",
        ),
        Step(
            "Then let the revision before it serve again, if it still passes the gate.",
            tool="promote_model",
            verb="Promote a revision",
        ),
    ),
    escalate=(
        Step("Over 5 % a second person is paged by itself; page the owner of the model at once then."),
        Step(
            "Where neither a rule, a worker nor a revision explains it, stop taking clips until somebody knows.",
            tool="pause_pool",
            verb="Pause the pool",
            preset=lambda asked: {"pool": "clips"},
            expires="15",
        ),
    ),
    roll_back=(
        Step(
            "A rule ends by itself, or with Undo below, once a clip of that kind is delivered again.",
        ),
    ),
    follow_up=(
        Step(
            "Add the pattern to the adversarial set, so that the next roll-out meets it.",
            page="safety_text",
            page_words="Text filter",
        ),
        Step("Write down how long it took to see it, and what it cost."),
    ),
    restored=(12, 30),
)

BYPASS = book(
    "bypass",
    "Safety bypass",
    "A clip was delivered that should have been blocked. This goes before everything that costs money.",
    detect=(
        Step(
            "Open the safety incident that opened by itself: it names the clip and its classes.",
            page="safety_incidents",
            page_words="Safety incidents",
        ),
        Step(
            "See which version of the policy let it out, and what stops it.",
            page="safety_policy",
            page_words="Policy",
        ),
    ),
    mitigate=(
        Step(
            "Suspend delivery of clips with faces.",
            tool="suspend_faces",
            verb="Suspend clips with faces",
            preset=lambda asked: {"value": "block"},
            expires="240",
        ),
        Step(
            "Refuse the prompt category for a while.",
            tool="suspend_category",
            verb="Suspend the category",
            expires="240",
        ),
        Step(
            "Tighten the threshold of the class for a while.",
            tool="tighten_threshold",
            verb="Tighten the threshold",
            expires="240",
        ),
        Step(
            "Pull what was delivered in the last 2 h into review; it is withheld meanwhile.",
            tool="pull_window",
            verb="Pull the last 2 h into review",
            preset=last_hours,
        ),
        Step(
            "Delete what is confirmed: every link dies at once.",
            tool="delete_clips",
            verb="Delete confirmed clips",
            preset=lambda asked: {"disposal": "quarantine"},
        ),
    ),
    escalate=(
        Step(
            "Page trust & safety and counsel at once; a confirmed clip of child safety has duties of its own."
        ),
        Step(
            "What comes in by one wording is refused with a hard rule.",
            tool="add_rule",
            verb="Add a hard rule",
            preset=lambda asked: {"kinds": ("clip",)},
        ),
    ),
    roll_back=(
        Step("Suspensions and thresholds end by themselves, or with Undo below."),
        Step(
            "What reviewers clear is delivered again; a quarantined clip comes back by a second person.",
            page="safety_withdrawals",
            page_words="Withdrawals",
        ),
    ),
    follow_up=(
        Step(
            "Widen the golden sets and the rules with what came through.",
            page="safety_evaluations",
            page_words="Evaluations",
        ),
    ),
    restored=(30, 240),
)

PLUS_STARVATION = book(
    "plus_starvation",
    "A rush that starves Plus",
    "Jobs of Plus wait too long for their turn, mostly because one lane floods the pool. Late clips earn a credit.",
    detect=(
        Step(
            "Confirm it per tier: a free rush is a long backlog with a large share of GPU time.",
            page="operate_lanes",
            page_words="Lanes",
        ),
        Step(
            "Fewer workers than usual is another fault (No worker).",
            page="operate_workers",
            page_words="Workers",
        ),
    ),
    mitigate=(
        Step(
            "Raise the weight of Plus to 4 for an hour; what waits already is ranked anew at once.",
            tool="lane_weight",
            verb="Plus to weight 4",
            preset=plus_weight,
            expires="60",
        ),
        Step(
            "Cap what one free organization may have running at 3.",
            tool="burst_cap",
            verb="Free burst cap 3",
            preset=free_cap,
            expires="60",
        ),
    ),
    escalate=(
        Step("Over 120 s a second person is paged by itself."),
        Step("Where both are in force and Plus still waits, there are too few devices: ask for more."),
    ),
    roll_back=(Step("Both end by themselves after their hour; Undo below ends them now."),),
    follow_up=(
        Step(
            "Late clips were credited by themselves; grant what is missing.",
            tool="sla_credits",
            verb="Grant SLA credits",
            preset=since_last_hours,
        ),
        Step(
            "Keep the auto-raise rule on for this lane where rushes come back.",
            tool="raise_rule",
            verb="Auto-raise rule on",
            preset=plus_rule_on,
        ),
    ),
    restored=(8, 25),
)

BOOKS = (NOT_FINITE, BYPASS, PLUS_STARVATION)
