"""Buying credits: checkout, what the provider tells, automatic top-up, refunds. What moves money is purchases.py."""
