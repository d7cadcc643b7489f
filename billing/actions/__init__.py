"""What billing admins change: credits, payments, prices, promotion codes, settings; audited, some by two people."""

from accounts import approvals


def register() -> None:
    """Name what may wait for a second person; once, when billing is ready."""
    from billing.actions.adjustments import AdjustCredits, GrantCredits, RefundCharge, VoidTransaction
    from billing.actions.contracts import MarkInvoicePaid, SetOverageContract
    from billing.actions.payment_refunds import RefundPayment
    from billing.actions.promotion_codes import CreatePromotionCode
    from billing.actions.settings_changes import ChangeSettings

    for kind in (
        GrantCredits,
        AdjustCredits,
        RefundCharge,
        VoidTransaction,
        RefundPayment,
        SetOverageContract,
        MarkInvoicePaid,
        CreatePromotionCode,
        ChangeSettings,
    ):
        approvals.register(kind)
