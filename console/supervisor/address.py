"""Who has the port, and whether the web process and its workers are ready."""

import http.client
import json
import socket

HOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether we could listen there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError:
            return False
    return True


def is_backlot(port: int) -> bool:
    """Whether the server that has the port is a Backlot: its web process says so in the Server header."""
    connection = http.client.HTTPConnection(HOST, port, timeout=3)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().getheader("server", "").lower() == "backlot"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def missing_for_readiness(port: int) -> str:
    """ "" when /readyz says 200, else what it says is missing, in one line."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read(4096).decode(errors="replace")
    except OSError:
        return "web does not answer yet"
    except http.client.HTTPException as error:
        return f"web answers badly: {error!r}"
    finally:
        connection.close()
    return "" if response.status == 200 else _missing(response.status, body)


def _missing(status: int, body: str) -> str:
    """What a refusal of /readyz names as missing, or else its text."""
    try:
        return ", ".join(json.loads(body)["missing"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return f"readyz says {status}: {' '.join(body.split())[:300]}"
