"""Reading settings from the environment, loudly: a value that can't be used stops the start and says why."""

import os


class BadEnvironment(ValueError):
    """A setting in the environment has a value that can't be used."""


def text(name: str, default: str) -> str:
    """The variable as it stands, or the default where it is unset or empty."""
    return os.environ.get(name) or default


def flag(name: str, default: bool) -> bool:
    """1/true/yes/on or 0/false/no/off, in any case; anything else is an error, never a silent False."""
    raw = os.environ.get(name)
    if not raw:
        return default
    word = raw.strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise BadEnvironment(f"{name}={raw!r}: use 1/true/yes/on or 0/false/no/off")


def integer(name: str, default: int, *, least: int | None = None, most: int | None = None) -> int:
    """A whole number within bounds."""
    raw = os.environ.get(name)
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise BadEnvironment(f"{name}={raw!r}: use a whole number") from None
    if (least is not None and value < least) or (most is not None and value > most):
        raise BadEnvironment(f"{name}={value}: must be between {least} and {most}")
    return value


def choice(name: str, default: str, known: tuple[str, ...]) -> str:
    """One of the known words."""
    value = text(name, default)
    if value not in known:
        raise BadEnvironment(f"{name}={value!r}: use one of {', '.join(known)}")
    return value


def together(*names: str) -> None:
    """All of these must be set: one without the others can't work."""
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise BadEnvironment(
            f"{', '.join(missing)}: must be set together with {', '.join(set(names) - set(missing))}"
        )


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list; blanks around and between are dropped."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]
