"""The procedural world, its captions and its judge; and the recipe's small parts. Nothing here trains."""

import ast

import numpy as np
import pytest
import torch

from generation.engines.training import captions, world
from generation.engines.training.code_corpus import module_documents
from generation.engines.training.judge import judge, object_masks
from generation.engines.training.muon import Muon, orthogonalize
from generation.engines.training.run_state import Budget, load_checkpoint, save_checkpoint, warm_then_decay


def test_a_scene_renders_to_the_same_pixels_every_time():
    scene = world.draw_scenes(1, seed=1)[0]
    clip = world.render(scene)
    assert clip.shape == (world.FRAMES, world.SIZE, world.SIZE, 3)
    assert clip.dtype == np.uint8
    assert np.array_equal(clip, world.render(scene))


def test_asking_for_some_frames_gives_those_of_the_clip():
    scene = world.draw_scenes(1, seed=2)[0]
    assert np.array_equal(world.render(scene, np.array([3, 9])), world.render(scene)[[3, 9]])


def test_held_out_pairs_never_occur_in_training_scenes():
    pairs = {(s.colour, s.shape) for s in world.draw_scenes(800, seed=3)}
    assert not pairs & world.HELD_OUT_PAIRS
    assert {(s.colour, s.shape) for s in world.draw_scenes(60, seed=3, held_out=True)} <= world.HELD_OUT_PAIRS


@pytest.mark.parametrize("shape", world.SHAPES)
def test_objects_stay_inside_the_picture(shape):
    for seed in range(12):
        scene = world.Scene(shape, "red", "grey", world.MOTIONS[seed % 6], "large", seed)
        _, masks = world.render_with_masks(scene)
        rim = np.concatenate([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]], axis=1)
        # The soft edge of a sharp tip may reach the rim; the shape itself does not.
        assert rim.max() < 0.3


def test_the_judge_reads_generator_truth():
    scenes = world.draw_scenes(40, seed=4, held_out=None)
    matches = [judge(world.render(scene)).matches(scene)["all"] for scene in scenes]
    assert np.mean(matches) >= 0.99


def test_a_clip_played_backwards_is_what_its_reversed_scene_says():
    for scene in world.draw_scenes(12, seed=5):
        assert judge(world.render(scene)[::-1]).matches(scene.reversed_in_time())["motion"]


def test_the_judge_sees_no_object_where_there_is_none():
    picture = world.render_background("meadow")
    clip = np.repeat(np.rint(picture)[None].clip(0, 255).astype(np.uint8), world.FRAMES, axis=0)
    verdict = judge(clip)
    assert (verdict.colour, verdict.shape, verdict.motion) == ("none", "none", "none")
    assert verdict.background == "meadow"


def test_no_background_is_as_colourful_as_an_object():
    for name in world.BACKGROUNDS:
        assert object_masks(world.render_background(name, light=1.05)[None]).sum() == 0


def test_complete_captions_name_colour_shape_motion_and_background():
    rng = np.random.default_rng(6)
    for scene in world.draw_scenes(50, seed=6):
        sentence = captions.caption(scene, rng, left_out=0.0)
        assert any(word in sentence for word in captions.COLOUR_WORDS[scene.colour])
        assert any(word in sentence for word in captions.SHAPE_WORDS[scene.shape])
        assert any(word in sentence for words in captions.MOTION_WORDS[scene.motion] for word in words)
        assert any(word in sentence for word in captions.BACKGROUND_WORDS[scene.background])


def test_synonyms_of_one_attribute_are_no_synonyms_of_another_value():
    for words in (
        captions.COLOUR_WORDS,
        captions.SHAPE_WORDS,
        captions.SIZE_WORDS,
        captions.BACKGROUND_WORDS,
    ):
        said = [word for options in words.values() for word in set(options)]
        assert len(said) == len(set(said))


def test_code_documents_parse_and_leave_comments_out():
    source = (
        '"""Doc.\n\nMore."""\nimport os\n# secret\ndef f(x):\n    return x  # why\n\nclass A:\n    y = 1\n'
    )
    texts = module_documents(source)
    assert len(texts) == 3
    for text in texts:
        ast.parse(text)
        assert text.endswith("\n")
        assert "secret" not in text
        assert "More" not in text
    assert module_documents("def broken(:") == []


def test_orthogonalized_matrices_have_singular_values_near_one():
    torch.manual_seed(0)
    for shape in ((2, 24, 48), (2, 48, 24)):
        values = torch.linalg.svdvals(orthogonalize(torch.randn(shape)))
        assert values.min() > 0.4
        assert values.max() < 1.4


def test_muon_lowers_a_simple_loss():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(16, 16))
    optimizer = Muon([weight], lr=0.05)
    first = weight.square().mean().item()
    for _ in range(20):
        optimizer.zero_grad()
        weight.square().mean().backward()
        optimizer.step()
    assert weight.square().mean().item() < first


def test_the_learning_rate_warms_up_holds_and_decays():
    assert warm_then_decay(0.0) < warm_then_decay(0.005) < warm_then_decay(0.3) == 1.0
    assert warm_then_decay(0.9) == pytest.approx(0.25)
    assert 0 < warm_then_decay(1.0) <= 0.01


def test_a_budget_counts_earlier_runs():
    assert Budget(seconds=10, used_before=20).progress == 1.0
    assert Budget(seconds=1000, used_before=100).progress == pytest.approx(0.1, abs=0.01)


def test_checkpoints_come_back_and_leave_no_partial_file(tmp_path):
    path = tmp_path / "deep" / "state.pt"
    assert load_checkpoint(path) is None
    save_checkpoint(path, {"step": 3, "weight": torch.ones(2)})
    assert load_checkpoint(path)["step"] == 3
    assert [p.name for p in path.parent.iterdir()] == ["state.pt"]
