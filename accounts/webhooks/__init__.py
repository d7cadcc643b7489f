"""Webhooks: an organization's addresses that are told what happened, signed as Standard Webhooks say."""
