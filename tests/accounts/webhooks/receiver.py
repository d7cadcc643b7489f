"""Customers' servers on the loopback: one that answers as it is told, also with TLS, and an ear that counts."""

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import httpcore2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from accounts.webhooks import sending
from accounts.webhooks.addresses import Address
from accounts.webhooks.sending import Ways

PUBLIC = ipaddress.ip_address("93.184.215.14")  # stands for the customer's server; nothing is ever sent there
NAME = "hooks.example.com"


@dataclass(frozen=True)
class Reply:
    """How the server answers. `drip_s` between single bytes of the body, `hang_s` before anything."""

    status: int = 200
    body: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    hang_s: float = 0
    drip_s: float = 0
    before: Callable[[], None] | None = None


@dataclass
class Receiver:
    """A running server: what it was sent, and the names that clients asked for in TLS."""

    port: int
    replies: list[Reply]
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    named: list[str | None] = field(default_factory=list)
    busiest: int = 0
    busy: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    def next_reply(self) -> Reply:
        """In turn; the last one goes on for ever."""
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for _, headers, _ in self.got]


@contextmanager
def receiving(*replies: Reply, tls: bool = False) -> Iterator[Receiver]:
    """A server on a free port of the loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.receiver = Receiver(server.server_port, list(replies) or [Reply()])
    if tls:
        context = _server_context(server.receiver.named)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.receiver
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver: Receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with receiver.lock:
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.got.append((self.path, headers, body))
            receiver.busy += 1
            receiver.busiest = max(receiver.busiest, receiver.busy)
            reply = receiver.next_reply()
        try:
            self._answer(reply)
        finally:
            with receiver.lock:
                receiver.busy -= 1

    def _answer(self, reply: Reply) -> None:
        if reply.before is not None:
            reply.before()
        time.sleep(reply.hang_s)
        try:
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in (
                [reply.body[n : n + 1] for n in range(len(reply.body))] if reply.drip_s else [reply.body]
            ):
                self.wfile.write(piece)
                time.sleep(reply.drip_s)
        except OSError:
            self.close_connection = True  # the sender has had enough

    def log_message(self, *arguments: object) -> None:
        """The test's output is for its findings."""


@dataclass
class Ear:
    """A socket that listens and counts who connects; it never answers."""

    port: int
    heard: int = 0


@contextmanager
def listening(host: str = "127.0.0.1", family: int = socket.AF_INET) -> Iterator[Ear]:
    with socket.socket(family, socket.SOCK_STREAM) as ear:
        ear.bind((host, 0))
        ear.listen()
        ear.settimeout(0.05)
        found, done = Ear(ear.getsockname()[1]), threading.Event()

        def count() -> None:
            while not done.is_set():
                try:
                    ear.accept()[0].close()
                except TimeoutError:
                    continue
                found.heard += 1

        thread = threading.Thread(target=count)
        thread.start()
        try:
            yield found
        finally:
            done.set()
            thread.join()


def outside(receiver: Receiver | None = None, local: bool = False, **names: list[list[str]]) -> Ways:
    """The rule of production with a world of its own: `hooks.example.com` lies at a public address, and whoever dials
    that address gets the receiver on the loopback. Everything else is dialled for real.

    `names` gives what a name answers at each asking, the last answer for ever; a dot is written as two underscores.
    """
    known = {NAME: [[str(PUBLIC)]], **{name.replace("__", "."): list(turns) for name, turns in names.items()}}

    async def resolve(host: str, port: int) -> list[Address]:
        if host not in known:
            return await sending.resolve(host, port)
        turns = known[host]
        return [ipaddress.ip_address(text) for text in (turns.pop(0) if len(turns) > 1 else turns[0])]

    async def dial(address: Address, port: int) -> httpcore2.AsyncNetworkStream:
        if receiver is not None and address == PUBLIC:
            return await sending.dial(ipaddress.ip_address("127.0.0.1"), receiver.port)
        assert address.is_loopback, f"a test reached for {address}"
        return await sending.dial(address, port)

    return Ways(local=local, resolve=resolve, dial=dial, tls=trusting)


@cache
def trusting() -> ssl.SSLContext:
    """A client's context that trusts the tests' own authority and nobody else."""
    return ssl.create_default_context(
        cadata=_authority()[0].public_bytes(serialization.Encoding.PEM).decode()
    )


def _server_context(named: list[str | None]) -> ssl.SSLContext:
    """A server that shows its certificate for `hooks.example.com` and keeps the names it was asked for."""
    certificate, key = _issued(NAME)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "both.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + _pem(key))
        context.load_cert_chain(path)
    context.sni_callback = lambda _, name, __: named.append(name)
    return context


@cache
def _authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the tests")])
    return _certificate(name, name, key.public_key(), key, authority=True), key


@cache
def _issued(host: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    issuer, issuer_key = _authority()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    return _certificate(name, issuer.subject, key.public_key(), issuer_key, host=host), key


def _certificate(subject, issuer, public_key, signing_key, *, authority: bool = False, host: str = ""):
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if host:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return made.sign(signing_key, hashes.SHA256())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
