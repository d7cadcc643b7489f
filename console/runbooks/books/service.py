"""Runbooks of the alarms about service: completions, retries, time in system, availability, workers, deliveries."""

from console.runbooks.books.published import plus_rule_on, plus_weight, restart, since_last_hours
from console.runbooks.books.shapes import Step, book
from console.runbooks.tools.fleet import worst_worker
from console.runbooks.tools.shapes import Asked, Given


def run_again(asked: Asked) -> Given:
    return {"state": "run"}


def drain(asked: Asked) -> Given:
    return {**worst_worker(asked), "state": "drain"}


WORKERS = {"page": "operate_workers", "page_words": "Workers"}
MODELS = {"page": "operate_models", "page_words": "Models"}
JOBS = {"page": "operate_jobs", "page_words": "Jobs"}
QUARANTINE = Step(
    "All fail alike after a roll-out: quarantine the revision. Its open jobs end uncharged.",
    tool="quarantine_model",
    verb="Quarantine a revision",
)
PROMOTE = Step(
    "Let the revision before it serve again, if it still passes the gate.",
    tool="promote_model",
    verb="Promote a revision",
)
RUN_AGAIN = Step(
    "Set a worker that was drained back to run.",
    tool="worker_state",
    verb="Set a worker to run",
    preset=run_again,
    key="run_worker",
)
NOTHING_CHANGED = Step("Nothing was changed, so nothing has to be taken back.")

BOOKS = (
    book(
        "plus_completions",
        "Plus finishes less",
        "Plus finishes less than a few minutes ago while its work waits.",
        detect=(
            Step("See whether workers are silent, draining or stuck at one stage.", **WORKERS),
            Step("See where the open jobs stand: many at one stage name the part that hangs.", **JOBS),
        ),
        mitigate=(
            Step(
                "Restart the worker that hangs; its jobs go on from their checkpoints.",
                tool="worker_state",
                verb="Restart a worker",
                preset=restart,
            ),
            Step(
                "Give Plus more of what is left.",
                tool="lane_weight",
                verb="Plus to weight 4",
                preset=plus_weight,
                expires="60",
            ),
        ),
        escalate=(Step("A stage that hangs has an alarm of its own: Signing down, Text scorer down."),),
        roll_back=(RUN_AGAIN,),
        follow_up=(
            Step(
                "Compare with the changes of the hour before.", page="operate_changes", page_words="Changes"
            ),
        ),
    ),
    book(
        "retries",
        "Attempts that are run again",
        "Attempts are lost or fail, and are run again, faster than the budget of 1 % allows.",
        detect=(
            Step("Leases that were lost say that workers died; attempts that failed say why.", **WORKERS),
            Step("See whether a revision became active shortly before.", **MODELS),
        ),
        mitigate=(
            Step(
                "Drain the worker that keeps failing.",
                tool="worker_state",
                verb="Drain a worker",
                preset=drain,
                expires="60",
            ),
            QUARANTINE,
        ),
        escalate=(
            Step(
                "Everything fails and nobody knows why: take nothing new until somebody does.",
                tool="pause_pool",
                verb="Pause the pool",
                preset=lambda asked: {"pool": "clips"},
                expires="15",
            ),
        ),
        roll_back=(RUN_AGAIN, PROMOTE),
        follow_up=(
            Step(
                "What was done again is on the jobs' pages and under Costs.",
                page="operate_costs",
                page_words="Costs",
            ),
        ),
    ),
    book(
        "time_in_system",
        "Clips that are late",
        "More clips than 5 % are later than their target, from enqueue to delivery, retries included.",
        detect=(
            Step("See at which stage a few late jobs spent their time.", **JOBS),
            Step("Much waiting: see the lanes.", page="operate_lanes", page_words="Lanes"),
        ),
        mitigate=(
            Step(
                "Waiting: raise the weight of the lane that is late.",
                tool="lane_weight",
                verb="Plus to weight 4",
                preset=plus_weight,
                expires="60",
            ),
            Step(
                "Let the auto-raise rule do it from now on.",
                tool="raise_rule",
                verb="Auto-raise rule on",
                preset=plus_rule_on,
                expires="1440",
            ),
        ),
        escalate=(
            Step("A slower model, or a size that people ask for now: see whether its target row is right."),
        ),
        roll_back=(Step("Both end by themselves; Undo below ends them now."),),
        follow_up=(
            Step(
                "Late clips were credited by themselves; grant what is missing.",
                tool="sla_credits",
                verb="Grant SLA credits",
                preset=since_last_hours,
            ),
        ),
    ),
    book(
        "availability",
        "Jobs that fail by our fault",
        "Jobs fail faster than 99.9 % a month allows. What failed is not charged.",
        detect=(Step("Read the messages of the newest failed jobs: they are few and alike.", **JOBS),),
        mitigate=(
            QUARANTINE,
            Step(
                "One worker fails: restart it.", tool="worker_state", verb="Restart a worker", preset=restart
            ),
        ),
        escalate=(
            Step(
                "Everything fails: take nothing new, so that what waits is kept.",
                tool="pause_pool",
                verb="Pause the pool",
                preset=lambda asked: {"pool": "clips"},
                expires="15",
            ),
        ),
        roll_back=(PROMOTE, RUN_AGAIN),
        follow_up=(Step("Say to who asks that what failed was not charged."),),
    ),
    book(
        "no_worker",
        "No worker",
        "A pool with an active model has no live worker that takes jobs.",
        detect=(Step("See whether they are stopped, silent, draining or quarantined.", **WORKERS),),
        mitigate=(
            Step(
                "Set a drained one back to run; of a quarantined one see first why.",
                tool="worker_state",
                verb="Set a worker to run",
                preset=run_again,
                key="run_worker",
            ),
            Step(
                "None is there: start workers. Meanwhile the pool can be paused, so that waits are said rightly.",
                tool="pause_pool",
                verb="Pause the pool",
                preset=lambda asked: {"pool": asked.scope or "clips"},
                expires="60",
            ),
        ),
        escalate=(Step("No machine to start one on: page who runs the fleet."),),
        roll_back=(Step("A pause ends by itself; Undo below ends it now."),),
        follow_up=(Step("Waiting jobs kept their place; free ones may have been refused as overload."),),
    ),
    book(
        "synthetic",
        "A synthetic job fails or is late",
        "A pool's own test job, every five minutes, has failed or not ended twice in a row: so would a customer's.",
        detect=(
            Step(
                "Open the newest jobs of Backlot synthetic jobs: the page of one says where it stopped.",
                **JOBS,
            ),
            Step("See whether the pool's workers take jobs.", **WORKERS),
        ),
        mitigate=(
            Step(
                "Restart the worker that hangs; its jobs go on from their checkpoints.",
                tool="worker_state",
                verb="Restart a worker",
                preset=restart,
            ),
            QUARANTINE,
        ),
        escalate=(Step("Nothing of the pool ends: treat it as availability, before customers tell."),),
        roll_back=(RUN_AGAIN, PROMOTE),
        follow_up=(Step("Where nothing else fired, see which alarm should have."),),
    ),
    book(
        "outbox_dead",
        "Events are not handed on",
        "Ends of jobs, webhooks and pages are not handed on: the oldest that is due is a minute late.",
        detect=(
            Step("See that the upkeep worker and the beat run: without them nothing is handed on."),
            Step("One topic alone that is late names its handler."),
        ),
        mitigate=(
            Step(
                "Restart the upkeep worker, or bring Redis back where it is away. Nothing is lost meanwhile."
            ),
        ),
        escalate=(
            Step("Alarms page through the outbox too: somebody has to watch this page until it moves."),
        ),
        roll_back=(NOTHING_CHANGED,),
        follow_up=(Step("See in the log what stopped it."),),
    ),
    book(
        "outbox_parked",
        "An event was given up",
        "An event was tried twelve times and given up; it stays as a row.",
        detect=(Step("The operational event names topic, key and last error."),),
        mitigate=(Step("Repair what refused it: an address, a key."),),
        escalate=(Step("It is not sent again by itself: somebody decides whether it still matters."),),
        roll_back=(NOTHING_CHANGED,),
        follow_up=(
            Step(
                "Where a page was given up, see that the paging addresses are right.",
                page="operate_alarms",
                page_words="Alarms",
            ),
        ),
    ),
    book(
        "webhooks_late",
        "Webhooks are late",
        "More than two healthy endpoints wait for deliveries that were due five minutes ago.",
        detect=(Step("See that the upkeep worker and the beat run."),),
        mitigate=(Step("Restart the upkeep worker: deliveries are under leases and none is lost."),),
        escalate=(
            Step("Where only one network is slow, page who runs it: endpoints hold up themselves alone."),
        ),
        roll_back=(NOTHING_CHANGED,),
        follow_up=(Step("See the deliveries of the endpoints that waited longest."),),
    ),
)
