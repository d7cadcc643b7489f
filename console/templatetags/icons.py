"""Inline SVG icons, drawn for this project on a 24 px grid with a 1.75 px line. Decoration unless a label is given."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

PATHS: dict[str, str] = {
    # rooms
    "clapper": '<path d="M3.5 10h17v9a1.5 1.5 0 0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 19z"/>'
    '<path d="M3.5 10 20 5.6 19.1 2.4a1 1 0 0 0-1.2-.7L3.3 5.6a1 1 0 0 0-.7 1.2z"/>'
    '<path d="m8 4.4 3 3.5M13.5 2.9l3 3.5"/>',
    "brackets": '<path d="m8.5 6-6 6 6 6M15.5 6l6 6-6 6"/>',
    "clock": '<circle cx="12" cy="12" r="9"/><path d="M12 7v5l3.4 2"/>',
    "receipt": '<path d="M5 3v18l2.3-1.5L9.7 21l2.3-1.5 2.3 1.5 2.4-1.5L19 21V3z"/><path d="M9 8h6M9 12h6"/>',
    "key": '<circle cx="8" cy="15.5" r="4.5"/><path d="M11.3 12.3 20 3.6M16 7.6l3 3M13.5 10l2 2"/>',
    "people": '<circle cx="9" cy="8" r="3.5"/><path d="M2.5 20a6.5 6.5 0 0 1 13 0"/>'
    '<path d="M16 4.8a3.5 3.5 0 0 1 0 6.4M18 14.2a6.5 6.5 0 0 1 3.5 5.8"/>',
    "list": '<path d="M8.5 6H21M8.5 12H21M8.5 18H21"/><path d="M3.5 6h.01M3.5 12h.01M3.5 18h.01"/>',
    "lanes": '<path d="M4 3v18M20 3v18M12 3v3M12 10.5v3M12 18v3"/>',
    "mark": '<rect x="2.5" y="4" width="19" height="16" rx="3.5"/><path d="M7 4v16M17 4v16M2.5 9.3H7M2.5 14.7H7"/>'
    '<path d="M17 9.3h4.5M17 14.7h4.5"/>',
    "tag": '<path d="M3.5 12.2V4.5a1 1 0 0 1 1-1h7.7l8.3 8.3a1.5 1.5 0 0 1 0 2.1l-6.6 6.6a1.5 1.5 0 0 1-2.1 0z"/>'
    '<path d="M8 8h.01"/>',
    "chart": '<path d="M4 3.5v17h16.5"/><path d="M8.5 16.5v-4M13 16.5v-8M17.5 16.5v-6"/>',
    "sliders": '<path d="M4 7h9M17 7h3M4 17h3M11 17h9"/><circle cx="15" cy="7" r="2"/><circle cx="9" cy="17" r="2"/>',
    # actions
    "search": '<circle cx="10.5" cy="10.5" r="7"/><path d="m20.5 20.5-5-5"/>',
    "play": '<path d="M7 4.5v15l12-7.5z"/>',
    "stop": '<rect x="6" y="6" width="12" height="12" rx="2"/>',
    "download": '<path d="M12 3v12m0 0 4.5-4.5M12 15l-4.5-4.5M4 20h16"/>',
    "copy": '<rect x="8.5" y="8.5" width="12" height="12" rx="2"/><path d="M15.5 5.5v-1a1 1 0 0 0-1-1h-10a1 1 0 0 0-1'
    ' 1v10a1 1 0 0 0 1 1h1"/>',
    "plus": '<path d="M12 5v14M5 12h14"/>',
    "undo": '<path d="M8.5 14 4 9.5 8.5 5"/><path d="M4 9.5h10.5a5.5 5.5 0 0 1 0 11H11"/>',
    "edit": '<path d="M4 20h4.5L20 8.5 15.5 4 4 15.5zM13 6.5 17.5 11"/>',
    "send": '<path d="M12 20V5M5.5 11.5 12 5l6.5 6.5"/>',
    "link": '<path d="M10 14a4.2 4.2 0 0 0 6 0l3.6-3.6a4.2 4.2 0 0 0-6-6L12.4 5.6"/>'
    '<path d="M14 10a4.2 4.2 0 0 0-6 0l-3.6 3.6a4.2 4.2 0 0 0 6 6l1.2-1.2"/>',
    "spark": '<path d="M12 3.5 13.9 10 20.5 12l-6.6 2L12 20.5 10.1 14 3.5 12l6.6-2z"/>',
    "image": '<rect x="3.5" y="4.5" width="17" height="15" rx="2.5"/><circle cx="9" cy="10" r="1.7"/>'
    '<path d="m4.5 18 5-4.5 3.5 3 3-2.5 4 3.5"/>',
    "compare": '<rect x="3" y="5" width="7.5" height="14" rx="1.5"/>'
    '<rect x="13.5" y="5" width="7.5" height="14" rx="1.5"/>',
    "dice": '<rect x="4" y="4" width="16" height="16" rx="3.5"/><g fill="currentColor" stroke="none">'
    '<circle cx="8.8" cy="8.8" r="1.4"/><circle cx="15.2" cy="15.2" r="1.4"/><circle cx="12" cy="12" r="1.4"/></g>',
    "grid": '<rect x="3.5" y="3.5" width="7" height="7" rx="1.5"/>'
    '<rect x="13.5" y="3.5" width="7" height="7" rx="1.5"/>'
    '<rect x="3.5" y="13.5" width="7" height="7" rx="1.5"/><rect x="13.5" y="13.5" width="7" height="7" rx="1.5"/>',
    "arrow": '<path d="M4.5 12h15m-6-6 6 6-6 6"/>',
    "chevrons": '<path d="m8 9.5 4-4 4 4M8 14.5l4 4 4-4"/>',
    "down": '<path d="m6.5 9.5 5.5 5.5 5.5-5.5"/>',
    "more": '<g fill="currentColor"><circle cx="5" cy="12" r="1"/><circle cx="12" cy="12" r="1"/>'
    '<circle cx="19" cy="12" r="1"/></g>',
    "leave": '<path d="M14.5 4H6a1.5 1.5 0 0 0-1.5 1.5v13A1.5 1.5 0 0 0 6 20h8.5M10 12h11m-4-4 4 4-4 4"/>',
    "sun": '<circle cx="12" cy="12" r="4"/><path d="M12 2.5v2M12 19.5v2M4.5 12h-2M21.5 12h-2M5.3 5.3l1.4 1.4M17.3'
    ' 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4"/>',
    "moon": '<path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z"/>',
    "rows": '<path d="M3.5 5.5h17M3.5 12h17M3.5 18.5h17"/>',
    "bolt": '<path d="M13 2.5 4.5 13.5H12l-1 8 8.5-11H12z"/>',
    # states and verdicts
    "ring": '<circle cx="12" cy="12" r="8"/>',
    "half": '<circle cx="12" cy="12" r="8.5"/><path d="M12 3.5a8.5 8.5 0 0 1 0 17z" fill="currentColor"/>',
    "check": '<path d="m4.5 12.5 5 5 10-11"/>',
    "cross": '<path d="m6 6 12 12M18 6 6 18"/>',
    "dash": '<path d="M5 12h14"/>',
    "shield": '<path d="M12 2.8 4.5 5.5v6c0 4.7 3.1 8 7.5 9.7 4.4-1.7 7.5-5 7.5-9.7v-6z"/>',
    "shield-check": '<path d="M12 2.8 4.5 5.5v6c0 4.7 3.1 8 7.5 9.7 4.4-1.7 7.5-5 7.5-9.7v-6z"/>'
    '<path d="m8.5 11.8 2.5 2.5 4.5-5"/>',
    "eye": '<path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z"/>'
    '<circle cx="12" cy="12" r="2.8"/>',
    "pause": '<path d="M9 5v14M15 5v14"/>',
    "warning": '<path d="M12 3.5 2.5 20h19zM12 10v4.5M12 17.3h.01"/>',
    "info": '<circle cx="12" cy="12" r="9"/><path d="M12 11v5.5M12 7.6h.01"/>',
    "seal": '<circle cx="12" cy="9.5" r="6"/><path d="m8.5 14.5-1.5 7 5-2.7 5 2.7-1.5-7M9.5 9.5l1.8 1.8 3.2-3.6"/>',
    "coins": '<ellipse cx="12" cy="6" rx="7.5" ry="3"/><path d="M4.5 6v6c0 1.7 3.4 3 7.5 3s7.5-1.3 7.5-3V6"/>'
    '<path d="M4.5 12v6c0 1.7 3.4 3 7.5 3s7.5-1.3 7.5-3v-6"/>',
    "scales": '<path d="M12 3v18M7.5 21h9M4.5 6.5 12 5l7.5 1.5M4.5 6.5 2 13.5a3 3 0 0 0 5 0zM19.5 6.5 17 13.5a3 3 0 0 0'
    ' 5 0z"/>',
    "save": '<path d="M12 3v9m0 0 3.5-3.5M12 12 8.5 8.5"/><path d="M4 13v5.5A1.5 1.5 0 0 0 5.5 20h13a1.5 1.5 0 0 0'
    ' 1.5-1.5V13"/>',
    "worker": '<rect x="5.5" y="5.5" width="13" height="13" rx="2.5"/><path d="M9.5 2.5v3M14.5 2.5v3M9.5 18.5v3M14.5'
    ' 18.5v3M2.5 9.5h3M2.5 14.5h3M18.5 9.5h3M18.5 14.5h3"/>',
    "film": '<rect x="3" y="4.5" width="18" height="15" rx="2.5"/><path d="M8 4.5v15M16 4.5v15M3 12h18"/>',
}

_SVG = (
    '<svg viewBox="0 0 24 24" width="16" height="16" fill="none" stroke="currentColor" stroke-width="1.75"'
    ' stroke-linecap="round" stroke-linejoin="round" {}>{}</svg>'
)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """The icon as an <svg> element; hidden from screen readers unless it has a label. An unknown name is a KeyError."""
    meaning = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return format_html(_SVG, meaning, mark_safe(PATHS[name]))
