"""For processes under libfaketime (stand_ins.py): `time.sleep` waits for a moment of the monotonic clock, which
libfaketime 0.9.10 moves by its offset although it leaves that clock alone, so that the moment is invalid or past."""

import select
import time


def sleep(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select((), (), (), seconds)


time.sleep = sleep
