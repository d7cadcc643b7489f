"""Pages for staff about people: access, tiers, approvals, the audit log."""
