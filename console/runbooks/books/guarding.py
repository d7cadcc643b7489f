"""Runbooks of the alarms about safety and money: rejections, deliveries, the signer, the scorer, the ledger."""

from console.runbooks.books.published import since_last_hours
from console.runbooks.books.service import NOTHING_CHANGED, PROMOTE, QUARANTINE
from console.runbooks.books.shapes import Step, book
from console.runbooks.tools.safety import last_hours

POLICY = {"page": "safety_policy", "page_words": "Policy"}

BOOKS = (
    book(
        "rejections",
        "Rejections after decoding",
        "Clips of a category that normally passes are blocked by the frame gates.",
        detect=(
            Step("See which class blocks, and since which version of the policy.", **POLICY),
            Step(
                "See whether a revision became active: a decoder that breaks looks like this too.",
                page="operate_models",
                page_words="Models",
            ),
        ),
        mitigate=(
            QUARANTINE,
            Step(
                "People try something new: take no requests in the category until it is understood.",
                tool="suspend_category",
                verb="Suspend the category",
                expires="60",
            ),
            Step(
                "One wording: refuse it before it costs a GPU.",
                tool="add_rule",
                verb="Add a hard rule",
                preset=lambda asked: {"kinds": ("clip",)},
                expires="240",
            ),
        ),
        escalate=(
            Step("Leave the gates on: it is better to refuse too much than to let one through."),
            Step(
                "What was delivered of it before is looked at by people.",
                tool="pull_window",
                verb="Pull the last 2 h into review",
                preset=last_hours,
            ),
        ),
        roll_back=(
            Step("A threshold that was changed shortly before is taken back where it was changed.", **POLICY),
            PROMOTE,
        ),
        follow_up=(
            Step(
                "Put what was refused wrongly into the golden set, through review.",
                page="safety_review",
                page_words="Review",
            ),
        ),
    ),
    book(
        "unsafe_delivery",
        "Unsigned or unscanned delivery",
        "A delivered file does not verify, or was delivered without Trusted credentials.",
        detect=(
            Step(
                "The events name the file; it was taken out of delivery when it was read.",
                page="safety_provenance",
                page_words="Provenance",
            ),
        ),
        mitigate=(
            Step(
                "Take the clip back: every link to it dies at once.",
                tool="delete_clips",
                verb="Delete confirmed clips",
                preset=lambda asked: {"disposal": "quarantine"},
            ),
            Step(
                "Several are affected: pull the window into review.",
                tool="pull_window",
                verb="Pull the last 2 h into review",
                preset=last_hours,
            ),
        ),
        escalate=(
            Step("Page trust & safety: somebody may have written to the storage."),
            Step(
                "The key may be known to somebody: sign with another one.",
                tool="rotate_signer",
                verb="Rotate the signer",
                preset=lambda asked: {"source": "development"},
            ),
        ),
        roll_back=(
            Step(
                "A clip that was taken back wrongly is restored by a second person.",
                page="safety_withdrawals",
                page_words="Withdrawals",
            ),
        ),
        follow_up=(Step("Find out who could write to the storage."),),
    ),
    book(
        "signing_down",
        "Signing down",
        "The signer does not answer. Clips are held with their scan; nothing goes out unsigned.",
        detect=(
            Step(
                "See the key in force, its certificate and the last error.",
                page="safety_provenance",
                page_words="Provenance",
            ),
            Step("See whether the key service and the time-stamp service can be reached."),
        ),
        mitigate=(
            Step(
                "It answers again: try it now instead of after the rest.",
                tool="retry_signing",
                verb="Try the signer again",
            ),
            Step(
                "It does not: sign with another key.",
                tool="rotate_signer",
                verb="Rotate the signer",
                preset=lambda asked: {"source": "development"},
            ),
        ),
        escalate=(
            Step(
                "After ten minutes a second person is paged by itself; held clips end after 15 min, uncharged."
            ),
        ),
        roll_back=(Step("Rotate back with Undo below, until the old key is retired."),),
        follow_up=(
            Step(
                "Clips that waited past their time: grant what is missing.",
                tool="sla_credits",
                verb="Grant SLA credits",
                preset=since_last_hours,
            ),
        ),
    ),
    book(
        "scorer_down",
        "Text scorer down",
        "No text scorer answers, so no prompt can be checked: requests are refused with 503.",
        detect=(Step("/readyz says whether it is the scorer alone; then see its log."),),
        mitigate=(Step("Restart the scorer process, or start one more and name both in SCORERS."),),
        escalate=(Step("Nothing is admitted meanwhile: say so on the status page."),),
        roll_back=(NOTHING_CHANGED,),
        follow_up=(
            Step("See the safety tax of the hour before: a scorer that is overloaded gets slow first."),
        ),
    ),
    book(
        "ledger_drift",
        "Ledger drift",
        "A reconciliation found balances, charges or usage that disagree.",
        detect=(
            Step("The events name the organizations; manage.py reconcile lists every drift again, by check."),
            Step("See who changed what of those organizations.", page="staff_audit", page_words="Audit log"),
        ),
        mitigate=(
            Step(
                "Stop what writes: a pause of the pools takes nothing new, and so settles nothing new.",
                tool="pause_pool",
                verb="Pause the pool",
                preset=lambda asked: {"pool": "clips"},
                expires="60",
            ),
        ),
        escalate=(
            Step(
                "Tell billing. Figures are never repaired by hand: an adjustment is made once the cause is known."
            ),
        ),
        roll_back=(Step("A pause ends by itself; Undo below ends it now."),),
        follow_up=(Step("Add the case to the reconciliation's tests."),),
    ),
)
