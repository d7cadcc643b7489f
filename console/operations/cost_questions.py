"""What the page Costs is asked, from its address: every figure has a default, a unit and bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from accounts.errors import ApiError
from generation.policy.fleet_cost.bad_day import Events
from generation.policy.fleet_cost.clip import ClipQuestion
from generation.policy.fleet_cost.sandbox import Question, Reference

MICRO = 1_000_000


@dataclass(frozen=True)
class Field:
    """A number of the form; `step` is that of its slider."""

    name: str
    label: str
    unit: str
    default: Decimal
    least: Decimal
    most: Decimal
    step: Decimal

    def read(self, given: str) -> Decimal:
        """Raises `ApiError` that names the field and says what is possible."""
        try:
            value = Decimal(given)
        except InvalidOperation:
            raise ApiError(
                "invalid_value", f"Give {self.label.lower()} as a number.", param=self.name
            ) from None
        if not value.is_finite() or not self.least <= value <= self.most:
            message = f"{self.label} lies between {self.least:f} and {self.most:f} {self.unit}".rstrip() + "."
            raise ApiError("invalid_value", message, param=self.name)
        return value


def _field(name: str, label: str, unit: str, *numbers: str) -> Field:
    return Field(name, label, unit, *map(Decimal, numbers))


SANDBOX = (
    _field("rate", "Rate", "requests/s", "20", "0.1", "200", "0.1"),
    _field("p99", "Latency target, p99", "s", "120", "10", "600", "5"),
    _field("hits", "Cache hits", "%", "5", "0", "100", "0.5"),
    _field("price", "GPU price", "$/h", "3.5", "0", "20", "0.05"),
)
REFERENCE = (
    _field("gpus", "Devices of the reference", "devices", "4000", "1", "1000000", "1"),
    _field("carry", "Effective rate that they carry", "requests/s", "19", "0.001", "100000", "0.001"),
    _field("at", "At a p99 target of", "s", "120", "1", "3600", "1"),
)
CLIP = (
    _field("steps", "Denoising steps", "", "50", "1", "200", "1"),
    _field("step_s", "Time per step", "GPU-s", "2.4", "0.001", "60", "0.001"),
    _field("overhead", "Overhead", "%", "30", "0", "300", "1"),
)
EVENTS = (
    _field("background", "NaN, always", "% of clips", "0.1", "0", "100", "0.01"),
    _field("storm", "NaN in a storm", "% of clips", "10", "0", "100", "0.1"),
    _field("late", "Noticed late, after", "min", "30", "0", "1440", "1"),
    _field("soon", "Noticed soon, after", "min", "2", "0", "1440", "1"),
    _field("bypass", "Clips past the filter", "% of clips", "2", "0", "100", "0.1"),
    _field("bypass_min", "Bypass lasts", "min", "15", "0", "1440", "1"),
    _field("breached", "Plus clips that are late", "% of them", "50", "0", "100", "1"),
    _field("starved", "Starvation lasts", "min", "45", "0", "1440", "1"),
    _field("people", "On-call time", "h", "3", "0", "1000", "0.25"),
    _field("on_call", "On-call rate", "$/h", "300", "0", "10000", "1"),
    _field("failing", "Attempts that fail", "%", "0.5", "0", "100", "0.1"),
)
FIELDS = {field.name: field for group in (SANDBOX, REFERENCE, CLIP, EVENTS) for field in group}


@dataclass(frozen=True)
class Asked:
    """Every figure by its name, as given or by default, and what was wrong with those that could not be read."""

    values: Mapping[str, Decimal]
    errors: tuple[ApiError, ...]

    @property
    def sandbox(self) -> Question:
        price = int(self.values["price"] * MICRO)
        return Question(self.values["rate"], self.values["p99"], self.values["hits"] / 100, price)

    @property
    def reference(self) -> Reference:
        return Reference(int(self.values["gpus"]), self.values["carry"], self.values["at"])

    @property
    def clip(self) -> ClipQuestion:
        price = int(self.values["price"] * MICRO)
        return ClipQuestion(
            int(self.values["steps"]), self.values["step_s"], price, self.values["overhead"] / 100
        )

    @property
    def events(self) -> Events:
        at = self.values
        return Events(
            background=at["background"] / 100,
            storm=at["storm"] / 100,
            late_min=at["late"],
            soon_min=at["soon"],
            bypass=at["bypass"] / 100,
            bypass_min=at["bypass_min"],
            breached=at["breached"] / 100,
            starvation_min=at["starved"],
            on_call_h=at["people"],
            failing=at["failing"] / 100,
        )

    @property
    def on_call_hour_micro_dollars(self) -> int:
        return int(self.values["on_call"] * MICRO)

    @property
    def changed(self) -> dict[str, str]:
        """What isn't at its default, for the address."""
        return {name: f"{value:f}" for name, value in self.values.items() if value != FIELDS[name].default}

    def filled(self, fields: tuple[Field, ...]) -> list[tuple[Field, Decimal]]:
        return [(field, self.values[field.name]) for field in fields]


def ask(given: Mapping[str, str]) -> Asked:
    """Read an address; a figure that can't be is at its default, and said."""
    values, errors = {}, []
    for name, field in FIELDS.items():
        values[name] = field.default
        if given.get(name):
            try:
                values[name] = field.read(given[name])
            except ApiError as error:
                errors.append(error)
    return Asked(values, tuple(errors))
