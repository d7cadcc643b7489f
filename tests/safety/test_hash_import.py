"""Exchanged hash lists: what is taken, what is rejected and where, and that an import counts at the next scan."""

import io
import json

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import AuditEntry
from safety.models import HashEntry, HashEntryEvent
from safety.postfilter import gates, hash_exchange, hash_list
from safety.postfilter.hash_index import HashIndex
from safety.postfilter.pdq import CROPS, hashes_of_frame, insides, pdq
from safety.postfilter.scan import scan_frames
from tests.safety.clips import textured

A, B, C = (pdq(textured(seed))[0].hex() for seed in (1, 2, 3))


def read(text: str) -> hash_exchange.HashFile:
    return hash_exchange.read(io.StringIO(text))


@pytest.mark.parametrize(
    "text",
    [
        f"{A}\n{B}\n",
        f"PDQ,{A}\nPDQ,{B}\n",
        f"pdq, {A.upper()}\r\n\r\nPDQ,{B}\r\n",
        f"hash_type,hash_value,quality\nPDQ,{A},100\nPDQ,{B},50\n",
        f'"id","indicator","type"\n1,{A},HASH_PDQ\n2,{B},HASH_PDQ\n',
        json.dumps([A, B]),
        json.dumps({"data": [{"indicator": A, "type": "HASH_PDQ"}, {"indicator": B, "type": "HASH_PDQ"}]}),
        json.dumps(
            {"data": [{"raw_indicator": A, "type": "HASH_PDQ", "status": "MALICIOUS"}, {"pdq": B}]}, indent=2
        ),
        f'{{"signal_type": "pdq", "signal": "{A}"}}\n{{"signal_type": "pdq", "signal": "{B}"}}\n',
        f"\ufeff{A}\n{B}",
    ],
)
def test_every_form_gives_the_same_hashes(text):
    found = read(text)
    assert (found.hashes, found.rejected) == ([A, B], [])


def test_bad_lines_are_rejected_by_number_and_the_rest_is_taken():
    found = read(
        f"type,hash,quality\nPDQ,{A},100\nPDQ,{B[:-1]},100\nPDQ,{B},12\nMD5,d41d8cd98f00b204e9800998ecf8427e,\n"
        f"PDQ,{A},100\nPDQ,,\nPDQ,{'0' * 64},100\nPDQ,{C},lots\nPDQ,{C},77\n"
    )
    assert (found.hashes, found.repeated, found.other_types) == ([A, C], 1, 1)
    assert [(rejected.line, rejected.why.split(" ")[0]) for rejected in found.rejected] == [
        (3, f"'{B[:20]}'"),
        (4, "quality"),
        (7, "nothing"),
        (8, "the"),
        (9, "quality"),
    ]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "[", '{"data": 5}', '[{"indicator": 1}', "\x00\x01", '{"a": 1}\n[]\nnull']
)
def test_what_is_no_list_gives_none(text):
    assert read(text).hashes == []


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text):
    assert all(len(pdq_hex) == 64 for pdq_hex in read(text).hashes)


def run(tmp_path, text: str, *more: str) -> tuple[str, str]:
    path = tmp_path / "list.csv"
    path.write_text(text)
    out, err = io.StringIO(), io.StringIO()
    common = ["--source", "list", "--author", "ana@example.com", "--reason", "the list of November", *more]
    try:
        call_command("import_hashes", str(path), *common, stdout=out, stderr=err)
    except CommandError as error:
        err.write(str(error))
    return out.getvalue(), err.getvalue()


@pytest.mark.django_db
def test_an_import_counts_at_the_next_scan_and_again_changes_nothing(tmp_path):
    frames = textured(1)[None]
    assert scan_frames(frames, "p", 1).verdict == "pass"
    out, _ = run(tmp_path, f"PDQ,{A}\nPDQ,{B}\nPDQ,nonsense\n", "--dry-run")
    assert out.startswith("2 would be added, 0 already on the list")
    assert not HashEntry.objects.exists()
    out, err = run(tmp_path, f"PDQ,{A}\nPDQ,{B}\nPDQ,nonsense\n")
    assert out.startswith(
        "2 added, 0 already on the list, 0 repeated in the file, 0 of other types, 1 rejected"
    )
    assert "line 3: 'nonsense' is no PDQ hash" in err
    assert "1 lines were rejected; all others were taken." in err
    assert scan_frames(frames, "p", 1).verdict == "block"
    entry = AuditEntry.objects.get(action="safety.hash_import")
    assert (entry.actor_name, entry.reason, entry.after["added"]) == (
        "ana@example.com",
        "the list of November",
        2,
    )
    assert HashEntryEvent.objects.count() == 2
    out, _ = run(tmp_path, f"{A}\n{C}\n")
    assert out.startswith("1 added, 1 already on the list")
    assert HashEntry.objects.count() == 3


@pytest.mark.django_db
def test_the_list_is_read_anew_only_where_the_list_has_changed(monkeypatch):
    gate, built = hash_list.HashList(), []
    monkeypatch.setattr(hash_list, "HashIndex", lambda rows: built.append(1) or HashIndex(rows))
    gate.current()
    hash_list.register(textured(4), source="s", author="a")
    gate.current()
    gate.current()
    from safety.models import Threshold

    Threshold.objects.filter(frame_class="violence").update(block_score=0.99)
    index = gate.current()["child_safety"]
    assert len(built) == 2 * 4
    assert (len(index), index.memory_bytes) == (1 + len(CROPS), (1 + len(CROPS)) * (32 + 1 + 8 + 1))


@pytest.mark.django_db
def test_removing_an_entry_removes_its_crops():
    entry = hash_list.register(textured(4), source="s", author="a")
    crop = textured(4)[18:-18, 32:-32]
    gates._made.cache_clear()
    assert scan_frames(crop[None], "p", 1).verdict == "block"
    entry.delete()
    assert scan_frames(crop[None], "p", 1).verdict == "pass"


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(0, 70))
def test_a_radius_is_exact_to_the_bit(seed, flips):
    rng = np.random.default_rng(seed)
    listed = rng.integers(0, 256, 32, dtype=np.uint8)
    bits = np.unpackbits(listed)
    bits[rng.choice(256, flips, replace=False)] ^= 1
    near = np.packbits(bits).tobytes()
    radius = int(rng.integers(0, 65))
    others = [(rng.bytes(32).hex(), 64, number, False) for number in range(2, 20)]
    found = HashIndex([(listed.tobytes().hex(), radius, 1, False), *others]).matches([near])
    assert [match.entry for match in found] == ([1] if flips <= radius else [])
    assert all(match.distance == flips for match in found)


def test_an_index_agrees_with_counting_bits_by_hand():
    rng = np.random.default_rng(7)
    rows = [(rng.bytes(32).hex(), int(rng.integers(0, 65)), number, False) for number in range(3_000)]
    queries = [bytes.fromhex(rows[number][0]) for number in range(200)]
    for place, query in enumerate(queries):
        queries[place] = bytes([query[0] ^ 0b10101010, *query[1:30], query[30] ^ 0xFF, query[31]])
    expected = set()
    for place, query in enumerate(queries):
        near = [
            (int.from_bytes(query) ^ int(pdq_hex, 16)).bit_count() - radius for pdq_hex, radius, _, _ in rows
        ]
        if min(near) <= 0:
            expected.add(place)
    assert {match.query for match in HashIndex(rows).matches(queries)} == expected
    assert 0 < len(expected) < 200


@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_flat_frame_is_of_no_quality_in_any_of_its_ways(level):
    assert hashes_of_frame(np.full((64, 64, 3), level, np.uint8)).quality < hash_list.QUALITY_FLOOR


def test_a_flat_picture_between_textured_bars_or_inside_plain_ones_is_no_good_frame():
    frame = np.zeros((360, 640, 3), np.uint8)
    frame[60:300] = 200  # bars around nothing: the frame as a whole has edges, what is inside has none
    assert hashes_of_frame(frame).quality < hash_list.QUALITY_FLOOR


def test_bars_are_found_and_a_picture_without_them_is_left_alone():
    picture = textured(9)
    assert insides(picture) == []
    framed = np.zeros((460, 840, 3), np.uint8)
    framed[50:410, 100:740] = picture
    (inside,) = insides(framed)
    assert np.array_equal(inside, picture)
    framed[:, 100:130] = 4  # a picture whose own left edge is plain
    taken, kept = insides(framed)
    assert (taken.shape, kept.shape) == ((360, 610, 3), (360, 640, 3))
    assert insides(np.zeros((64, 64, 3), np.uint8)) == []
