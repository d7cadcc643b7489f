"""Keeping a set of programs running until told to stop."""

import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from console.supervisor.child import Child
from console.supervisor.output import Output
from console.supervisor.programs import Program

logger = structlog.get_logger("backlot.serve")

TICK_S = 0.2
STEADY_S = 20  # a process that lived so long has not failed at its start
LONGEST_PAUSE_S = 30
DRAIN_S = 10  # of the 15 s that stopping may take; the servers need the rest
HOPELESS = 5  # failures in a row before the first readiness


def pause_s(failures: int) -> float:
    """Seconds before the next start after so many failures in a row: 0.5, 1, 2 … at most 30."""
    return min(LONGEST_PAUSE_S, 0.5 * 2 ** (failures - 1))


@dataclass
class Slot:
    """A program and the process that runs it now, if any."""

    program: Program
    child: Child | None = None
    failures: int = 0
    start_at: float = 0.0


class Supervision:
    """Single-threaded: the kernel ends the children with the *thread* that started them.

    `watch` is called about once a second, for what else must be kept alive.
    """

    def __init__(
        self,
        programs: list[Program],
        output: Output,
        watch: Callable[[], None] | None = None,
        drain_s: float = DRAIN_S,
    ) -> None:
        self.slots = [Slot(program) for program in programs]
        self.output = output
        self.watch = watch
        self.drain_s = drain_s
        self.asked: list[int] = []  # the signals that came
        self._selector = selectors.DefaultSelector()
        self._watched_at = 0.0

    def catch_signals(self) -> None:
        """SIGINT, SIGTERM and SIGHUP (the terminal was closed) ask for an orderly stop."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda got, _frame: self.asked.append(got))

    @property
    def stopping(self) -> bool:
        return bool(self.asked) or self.output.closed

    def hopeless(self) -> list[str]:
        """The programs that fail over and over."""
        return [slot.program.name for slot in self.slots if slot.failures >= HOPELESS]

    def turn(self, timeout_s: float = TICK_S) -> None:
        """Pass on lines, notice ends, start what is due. Returns after about `timeout_s`."""
        for slot in self.slots:
            if slot.child is None and time.monotonic() >= slot.start_at:
                self._start(slot)
        self._pass_on_lines(timeout_s)
        for slot in self.slots:
            if slot.child is not None and slot.child.status is not None:
                self._note_end(slot)
        if self.watch and time.monotonic() - self._watched_at > 1:
            self._watched_at = time.monotonic()
            self.watch()

    def run_once(self, program: Program) -> int | None:
        """Run a program to its end beside the others, its lines as they are; None where we were told to stop."""
        child = Child(program)
        try:
            while child.status is None and not self.stopping:
                self.turn(0.1)
                self._plain(child.lines())
            if child.status is None:
                return None
            self._plain(child.lines() + child.last_line())
            return child.status
        finally:
            child.end()

    def stop(self) -> list[str]:
        """SIGTERM to all, then wait; a second signal, or the end of the patience, kills. Names of the killed."""
        children = [slot.child for slot in self.slots if slot.child is not None]
        signals, began = len(self.asked), time.monotonic()
        for child in children:
            child.ask_to_stop()
        running = children
        while running and time.monotonic() - began < self.drain_s and len(self.asked) == signals:
            self._pass_on_lines(0.1)
            ended = [child for child in running if child.status is not None]
            for child in ended:
                took = round(time.monotonic() - began, 1)
                logger.info("stopped", process_name=child.program.name, status=child.status, after_s=took)
            running = [child for child in running if child not in ended]
        killed = [child.program.name for child in running]
        self._pass_on_lines(0)
        for slot in self.slots:
            if slot.child is not None:
                self._close(slot)
        if killed:
            logger.warning(
                "killed after waiting for them to drain", processes=", ".join(killed), waited_s=self.drain_s
            )
        return killed

    def _start(self, slot: Slot) -> None:
        slot.child = Child(slot.program)
        self._selector.register(slot.child.pipe, selectors.EVENT_READ, slot)
        logger.info("started", process_name=slot.program.name, pid=slot.child.process.pid)

    def _pass_on_lines(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            slot = key.data
            self._show(slot.program.name, slot.child.lines())
            if slot.child.status is not None:  # its pipe stays readable at its end
                self._selector.unregister(key.fileobj)

    def _note_end(self, slot: Slot) -> None:
        child, now = slot.child, time.monotonic()
        status = child.status
        slot.failures = 1 if now - child.started_at > STEADY_S else slot.failures + 1
        slot.start_at = now + pause_s(slot.failures)
        self._close(slot)
        again_in = pause_s(slot.failures)
        logger.error("ended by itself", process_name=slot.program.name, status=status, again_in_s=again_in)

    def _close(self, slot: Slot) -> None:
        child, slot.child = slot.child, None
        self._show(slot.program.name, child.lines() + child.last_line())
        if child.pipe in self._selector.get_map():
            self._selector.unregister(child.pipe)
        child.end()

    def _show(self, name: str, lines: list[str]) -> None:
        for line in lines:
            if line.strip():
                self.output.line(name, line)

    def _plain(self, lines: list[str]) -> None:
        for line in lines:
            self.output.plain(line)
