"""Every tool, by its name."""

from console.runbooks.tools import fleet, money, safety
from console.runbooks.tools.shapes import Tool

TOOLS: tuple[Tool, ...] = (*fleet.TOOLS, *safety.TOOLS, *money.TOOLS)
BY_SLUG = {tool.slug: tool for tool in TOOLS}
