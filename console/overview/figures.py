"""The figures of the overview, in the order of the page: what each draws, from roll-ups alone."""

from collections.abc import Callable
from dataclasses import dataclass

from console.overview import money_figures, service_figures
from console.overview.asked import Asked
from console.overview.drawing import Drawn
from console.overview.known import Known


@dataclass(frozen=True)
class Figure:
    """One chart: its name in addresses, its title, the row of the page that it stands in, and what it draws."""

    name: str
    title: str
    row: int
    draw: Callable[[Asked, Known], Drawn]


SERVICE, HEALTH, MONEY = 3, 4, 5
FIGURES = (
    Figure("wait", "Queue wait per tier", SERVICE, service_figures.waits),
    Figure("backlog", "Backlog", SERVICE, service_figures.backlog),
    Figure("throughput", "Throughput", SERVICE, service_figures.throughput),
    Figure("time", "Time in system per tier", SERVICE, service_figures.times),
    Figure("stages", "Time in system by stage", SERVICE, service_figures.stages),
    Figure("fleet", "Fleet use", SERVICE, service_figures.fleet),
    Figure("failures", "Failed, by reason", HEALTH, service_figures.failures),
    Figure("nan", "NaN", HEALTH, service_figures.not_finite),
    Figure("rejections", "Rejections by category", HEALTH, service_figures.rejections),
    Figure("retries", "Retries and preemptions", HEALTH, service_figures.retries),
    Figure("tax", "Safety tax", HEALTH, service_figures.tax),
    Figure("signing", "Signing", HEALTH, service_figures.signing),
    Figure("gpu", "Device time", MONEY, money_figures.devices),
    Figure("saved", "Waste avoided", MONEY, money_figures.saved),
    Figure("cost", "Cost per clip", MONEY, money_figures.cost),
    Figure("credits", "Credits sold and used", MONEY, money_figures.credits),
    Figure("sla", "Late clips and their credits", MONEY, money_figures.late),
)
BY_NAME = {figure.name: figure for figure in FIGURES}
ROWS = {SERVICE: "How it goes", HEALTH: "What goes wrong", MONEY: "What it costs"}
