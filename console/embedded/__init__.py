"""PostgreSQL and Valkey from wheels, for an installation that names no servers of its own.

`ensure()` is called before Django reads its settings. It sets DATABASE_URL and REDIS_URL to servers that run
under `BACKLOT_HOME`, starting them where none run. The servers are children of a *keeper* process, which
lives as long as at least one process uses them: each user holds a shared lock on `run/services.users`, which
the kernel drops when that process ends, however it ends. So several commands can share the servers in any
order, and kill -9 of any of them leaves nothing behind.
"""

from console.embedded.client import Servers, ensure, leave, revive
from console.embedded.errors import EmbeddedError

__all__ = ["EmbeddedError", "Servers", "ensure", "leave", "revive"]
