"""One try over a real connection: what is sent, and what is made of every kind of answer."""

import asyncio
import socket
import threading
import time

import pytest

from accounts.webhooks import sending
from tests.accounts.webhooks.receiver import NAME, Reply, listening, outside, receiving

BODY = '{"id":"evt_1","type":"video.completed"}'


def post(url: str, ways: sending.Ways) -> sending.Answer:
    return asyncio.run(sending.post(url, {"webhook-id": "evt_1"}, BODY, ways))


def test_a_message_arrives_whole_and_names_its_host():
    with receiving(Reply(204, b""), tls=True) as receiver:
        answer = post(f"https://{NAME}/hooks?team=1", outside(receiver))
    assert (answer.outcome, answer.status) == ("accepted", 204)
    ((path, headers, body),) = receiver.got
    assert (path, body.decode()) == ("/hooks?team=1", BODY)
    assert (headers["host"], headers["content-type"]) == (NAME, "application/json")
    assert headers["webhook-id"] == "evt_1"
    assert receiver.named == [NAME]


def test_another_port_is_in_the_host_header():
    with receiving(tls=True) as receiver:
        post(f"https://{NAME}:8443/", outside(receiver))
    assert receiver.got[0][1]["host"] == f"{NAME}:8443"


def test_a_certificate_for_another_name_is_refused_before_anything_is_said():
    with receiving(tls=True) as receiver:
        ways = outside(receiver, other__example__com=[["93.184.215.14"]])
        answer = post("https://other.example.com/", ways)
    assert answer.outcome == "unreachable"
    assert receiver.got == []


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_2xx_is_accepted(status):
    with receiving(Reply(status)) as receiver:
        answer = post(receiver.url, outside(local=True))
    assert (answer.outcome, answer.status, answer.snippet) == ("accepted", status, "ok")


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
def test_everything_else_is_not(status):
    with receiving(Reply(status, b"no \x00\x1b[31mred")) as receiver:
        answer = post(receiver.url, outside(local=True))
    assert (answer.outcome, answer.status, answer.snippet) == ("declined", status, "no \ufffd\ufffd[31mred")


def test_little_of_a_long_answer_is_read():
    with receiving(Reply(200, b"x" * 50_000_000)) as receiver:
        began = time.monotonic()
        answer = post(receiver.url, outside(local=True))
    assert (answer.outcome, len(answer.snippet)) == ("accepted", sending.MOST_KEPT)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "reply", [Reply(hang_s=3), Reply(body=b"x" * 100, drip_s=0.1)], ids=["silent", "dripping"]
)
def test_all_of_it_has_one_deadline(monkeypatch, reply):
    monkeypatch.setattr(sending, "WHOLE_S", 0.5)
    with receiving(reply) as receiver:
        began = time.monotonic()
        answer = post(receiver.url, outside(local=True))
        spent = time.monotonic() - began
    assert (answer.outcome, answer.status) == ("unreachable", None)
    assert 0.5 <= spent < 2.5
    assert 500 <= answer.duration_ms < 2500


def test_headers_that_never_end_are_cut_off(monkeypatch):
    monkeypatch.setattr(sending, "WHOLE_S", 5.0)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def chatter() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                try:
                    for number in range(100_000):
                        connection.sendall(b"x-%d: %s\r\n" % (number, b"y" * 1000))
                except OSError:
                    return

        threading.Thread(target=chatter, daemon=True).start()
        answer = post(f"http://127.0.0.1:{server.getsockname()[1]}/", outside(local=True))
    assert (answer.outcome, answer.status) == ("unreachable", None)


def test_nobody_there_is_no_answer():
    with listening() as ear:
        port = ear.port
    answer = post(f"http://127.0.0.1:{port}/", outside(local=True))
    assert (answer.outcome, answer.status) == ("unreachable", None)


def test_a_name_that_leads_nowhere_is_no_answer():
    answer = post("https://no-such-name.invalid/", outside())
    assert answer.outcome == "unreachable"
    assert "could not be resolved" in answer.detail


def test_a_resolver_that_hangs_does_not_hold_the_try_up(monkeypatch):
    monkeypatch.setattr(sending, "WHOLE_S", 0.3)
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait(10) and [])
    began = time.monotonic()
    answer = post("https://slow.example.com/", outside())
    assert time.monotonic() - began < 2
    assert answer.outcome == "unreachable"
    done.set()


def test_the_next_address_of_a_name_is_tried():
    with receiving() as receiver:
        ways = outside(local=True, two__example__com=[["127.0.0.9", "127.0.0.1"]])
        answer = post(f"http://two.example.com:{receiver.port}/", ways)
    assert answer.outcome == "accepted"
