"""What a web process may read of a model folder, without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from generation.engines import facts
from generation.engines.errors import ModelUnavailable

SHIPPED = Path(__file__).resolve().parents[2] / "generation" / "weights"


def test_a_folder_without_facts_has_the_defaults(tmp_path):
    assert facts.read(tmp_path) == facts.ModelFacts()


def test_written_facts_replace_the_defaults(tmp_path):
    (tmp_path / "backlot.json").write_text(
        '{"width": 96, "fps": 12, "sizes": ["96x64", "64x96"], "seconds": [1, 2]}'
    )
    read = facts.read(tmp_path)
    assert (read.width, read.height, read.fps) == (96, 64, 12)
    assert (read.sizes, read.seconds) == (("96x64", "64x96"), (1, 2))


@pytest.mark.parametrize("text", ["{", '{"widht": 96}', "\xff"])
def test_facts_that_cannot_be_understood_are_refused(tmp_path, text):
    (tmp_path / "backlot.json").write_text(text, encoding="latin-1")
    with pytest.raises(ModelUnavailable, match="backlot.json"):
        facts.read(tmp_path)


def test_the_shipped_facts_agree_with_each_other():
    read = facts.read(SHIPPED / "pocket-video")
    assert f"{read.width}x{read.height}" in read.sizes
    assert read.frames / read.fps in read.seconds


def test_the_revision_names_exactly_these_files(tmp_path):
    (tmp_path / "parts").mkdir()
    weights = tmp_path / "parts" / "weights"
    weights.write_bytes(b"one")
    first = facts.revision_of(tmp_path)
    assert (len(first), facts.revision_of(tmp_path)) == (16, first)
    weights.write_bytes(b"onf")
    changed = facts.revision_of(tmp_path)
    weights.write_bytes(b"one")
    weights.rename(tmp_path / "parts" / "weight")
    assert len({first, changed, facts.revision_of(tmp_path)}) == 3
    with pytest.raises(ModelUnavailable):
        facts.revision_of(tmp_path / "absent")


def test_counting_tokens_loads_no_torch():
    program = (
        "import sys; from pathlib import Path; from generation.engines import errors, facts, tokens;"
        f"print(tokens.count(Path({str(SHIPPED / 'pocket-code')!r}), 'def f(x):'));"
        "print(sorted({'torch', 'transformers', 'diffusers', 'django'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    count, loaded = result.stdout.splitlines()
    assert 1 < int(count) <= len("def f(x):") + 1
    assert loaded == "[]"
