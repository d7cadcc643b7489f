"""What is told to the tools that watch an installation from outside: metrics, traces, and the context of log lines."""
