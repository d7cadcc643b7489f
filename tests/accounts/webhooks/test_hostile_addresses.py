"""33 addresses that a webhook must never reach, under the rule of production: ears on the loopback hear nobody.

Each is tried past the form that would refuse it, as if a row had got in: what counts is what is connected to.
"""

import asyncio
import ipaddress
import socket
import time

import pytest

from accounts.webhooks import addresses, sending
from tests.accounts.webhooks.receiver import NAME, Reply, listening, outside, receiving

# {port} is where an ear listens on 127.0.0.1 and on ::1; names on the right of "->" are what the name resolves to.
HOSTILE = (
    "https://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/",
    "https://127.0.0.1/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://0.0.0.0:{port}/",
    "https://169.254.169.254/latest/meta-data/",
    "https://168.63.129.16/metadata",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://2130706433:{port}/",
    "https://0x7f000001:{port}/",
    "https://0x7f.0x0.0x0.0x1:{port}/",
    "https://0177.0.0.1:{port}/",
    "https://127.1:{port}/",
    "https://127.0.0.1.:{port}/",
    "https://[::1]:{port}/",
    "https://[::]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/",
    "https://[::127.0.0.1]:{port}/",
    "https://[2002:7f00:1::]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1%25lo]:{port}/",
    "https://localhost:{port}/",
    "https://app.localhost:8443/",
    "https://metadata.google.internal/",
    "https://hooks.example.com@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}\\@hooks.example.com/",
    "https://hooks.example.com:{port}/",
    "https://１２７.０.０.１:{port}/",
)
# What names may lead to; at any of these the connection is refused, though the name looks well.
LEADS = (
    ["127.0.0.1"],
    ["93.184.215.14", "127.0.0.1"],
    ["127.0.0.1", "93.184.215.14"],
    ["10.1.2.3"],
    ["169.254.169.254"],
    ["::1"],
    ["::ffff:127.0.0.1"],
    ["64:ff9b::7f00:1"],
    ["2002:7f00:1::1"],
    ["fe80::5efe:7f00:1"],
    ["2001:4860::5efe:127.0.0.1"],
    ["0.0.0.0"],
)


def post(url: str, ways: sending.Ways) -> sending.Answer:
    return asyncio.run(sending.post(url, {"webhook-id": "evt_x"}, "{}", ways))


@pytest.fixture(scope="module")
def ears():
    with listening() as four, listening("::1", socket.AF_INET6) as six:
        yield four, six


def test_there_are_33_of_them():
    assert len(set(HOSTILE)) == 33


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_address_is_refused_as_text_and_never_reached(url, ears):
    heard = [ear.heard for ear in ears]
    for ear in ears:
        whole = url.format(port=ear.port)
        with pytest.raises(addresses.Refused):
            addresses.read(whole, local=False)
        answer = post(whole, outside())
        assert (answer.outcome, answer.status) == ("forbidden", None)
    time.sleep(0.06)
    assert [ear.heard for ear in ears] == heard


@pytest.mark.parametrize("lead", LEADS, ids=str)
def test_a_name_that_leads_inside_is_refused_when_connecting(lead):
    with receiving(tls=True) as receiver:
        answer = post(f"https://{NAME}/", outside(receiver, hooks__example__com=[lead]))
    assert (answer.outcome, answer.status) == ("forbidden", None)
    assert answer.detail == "Not sent: it leads to an address that is not public."
    assert (receiver.got, receiver.named) == ([], [])


def test_a_name_that_answers_differently_the_second_time_is_asked_once():
    """Rebinding: what was judged is what is connected to; the next try asks again, and is refused."""
    with receiving(tls=True) as receiver:
        ways = outside(receiver, hooks__example__com=[["93.184.215.14"], ["127.0.0.1"]])
        first, second = post(f"https://{NAME}/", ways), post(f"https://{NAME}/", ways)
    assert (first.outcome, second.outcome) == ("accepted", "forbidden")
    assert len(receiver.got) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_wherever_it_leads(status, ears):
    ear = ears[0]
    heard = ear.heard
    reply = Reply(status, b"", {"Location": f"http://127.0.0.1:{ear.port}/latest/meta-data/"})
    with receiving(reply, tls=True) as receiver:
        answer = post(f"https://{NAME}/", outside(receiver))
    assert (answer.outcome, answer.status) == ("declined", status)
    assert "not followed" in answer.detail
    time.sleep(0.06)
    assert ear.heard == heard


def test_proxies_of_the_environment_are_not_used(ears, monkeypatch):
    ear = ears[0]
    heard = ear.heard
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{ear.port}")
    with receiving(tls=True) as receiver:
        assert post(f"https://{NAME}/", outside(receiver)).outcome == "accepted"
    assert ear.heard == heard


def test_the_ears_do_hear(ears):
    """That nothing was heard means something: the same sender does reach them where it may."""
    for ear, host in zip(ears, ("127.0.0.1", "[::1]"), strict=True):
        heard = ear.heard
        answer = post(f"http://{host}:{ear.port}/", outside(local=True))
        assert answer.outcome == "unreachable"  # it hangs up without a word
        time.sleep(0.06)
        assert ear.heard == heard + 1


def test_development_may_reach_its_neighbours_and_still_no_metadata():
    for text in ("127.0.0.1", "::1", "10.0.0.1", "192.168.1.1"):
        addresses.judge(ipaddress.ip_address(text), local=True)
    for text in (
        "169.254.169.254",
        "fd00:ec2::254",
        "0.0.0.0",
        "fe80::1",
        "::ffff:127.0.0.1",
        "168.63.129.16",
        "224.0.0.1",
    ):
        with pytest.raises(addresses.Refused):
            addresses.judge(ipaddress.ip_address(text), local=True)


@pytest.mark.parametrize("text", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_what_is_public_passes(text):
    addresses.judge(ipaddress.ip_address(text), local=False)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (f"https://{NAME}", addresses.Target("https", NAME, 443, "/")),
        ("HTTPS://Hooks.Example.com:8443/a?b=c", addresses.Target("https", NAME, 8443, "/a?b=c")),
        (f"https://{NAME}?b=c", addresses.Target("https", NAME, 443, "/?b=c")),
    ],
)
def test_plain_addresses_are_read_as_they_are_meant(url, found):
    assert addresses.read(url, local=False) == found
