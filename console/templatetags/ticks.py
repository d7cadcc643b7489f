"""Prose from docstrings: what stands between backticks is code."""

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()


@register.filter
def ticked(text: str) -> SafeString:
    """The text for a page, escaped."""
    parts = (escape(part) for part in text.split("`"))
    return mark_safe("".join(f"<code>{part}</code>" if odd % 2 else part for odd, part in enumerate(parts)))
