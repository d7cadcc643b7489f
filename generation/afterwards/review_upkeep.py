"""What review needs by the clock, every few seconds; each part goes on from its rows, so any round may be killed."""

from generation.afterwards import pulls, review_delivery, review_frames, withdrawal


def run() -> None:
    """One round: what hurts most if it waits comes first."""
    withdrawal.settle_pending()
    pulls.advance_all()
    review_delivery.deliver_cleared()
    review_frames.prepare()
    review_frames.forget_ended()
    review_delivery.sweep()
