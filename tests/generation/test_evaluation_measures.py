"""Coherence, alignment, the threshold that labels give and the correlation of the bridge, on clips made up here."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from random import Random
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, strategies

from generation.engines.training.world import render
from generation.evaluation import alignment, coherence, feature_net, scoring
from generation.evaluation.train_features import broken
from generation.policy import bridge
from generation.policy.coherence import OneKindOnly, best_threshold

SCENES, PROMPTS = scoring.unseen_prompts(24, 11, None)
CLIPS = [render(scene) for scene in SCENES]


class TestWarpError:
    def test_a_still_clip_has_none_and_a_moved_picture_next_to_none(self):
        still = np.repeat(CLIPS[0][:1], 8, axis=0)
        assert coherence.warp_error(still) == 0.0
        chance = np.random.default_rng(3)
        ground = np.kron(chance.integers(0, 255, (24, 24, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        moving = np.stack([ground[8:72, 3 * place : 3 * place + 64] for place in range(6)])
        assert coherence.warp_error(moving) < 0.02
        assert coherence.warp_error(moving[[0, 3, 1, 5, 2, 4]]) > 3 * coherence.warp_error(moving)

    def test_flicker_and_noise_raise_it(self):
        clip, chance = CLIPS[1], np.random.default_rng(1)
        light = chance.uniform(0.5, 1.0, (len(clip), 1, 1, 1))
        noisy = chance.integers(0, 255, clip.shape).astype(np.uint8)
        own = coherence.warp_error(clip)
        assert own < coherence.warp_error((clip * light).astype(np.uint8)) < coherence.warp_error(noisy)

    def test_one_frame_has_none_and_tiny_frames_are_refused(self):
        assert coherence.warp_error(CLIPS[0][:1]) == 0.0
        with pytest.raises(ValueError, match="too small"):
            coherence.warp_error(np.zeros((3, 4, 4, 3), np.uint8))

    def test_large_frames_are_thinned_out(self):
        large = np.kron(CLIPS[0], np.ones((1, 10, 10, 1), np.uint8))
        assert coherence.warp_error(large) == pytest.approx(coherence.warp_error(CLIPS[0]), abs=0.01)


class TestFrechet:
    def test_it_is_the_closed_form_for_gaussians_with_known_moments(self):
        first = coherence.Distribution(np.zeros(2), np.diag([1.0, 4.0]), 10)
        second = coherence.Distribution(np.array([3.0, 0.0]), np.diag([9.0, 4.0]), 10)
        assert coherence.frechet(first, second) == pytest.approx(9 + (1 - 3) ** 2)
        assert coherence.frechet(first, first) == pytest.approx(0, abs=1e-9)
        assert coherence.frechet(first, second) == pytest.approx(coherence.frechet(second, first))

    def test_the_network_that_ships_tells_a_broken_course_from_a_whole_one(self):
        chance = np.random.default_rng(5)
        scenes, _ = scoring.unseen_prompts(60, 12, None)
        clips = [render(scene) for scene in scenes]
        network = feature_net.chosen()[1]
        whole = coherence.distance(feature_net.features(clips), network)
        apart = coherence.distance(feature_net.features([broken(clip, chance) for clip in clips]), network)
        assert apart > 2 * whole

    def test_features_of_another_network_have_no_reference(self):
        with pytest.raises(coherence.NoReference, match="evals reference"):
            coherence.distance([[0.0, 1.0], [1.0, 0.0]], "another network")

    def test_a_reference_reads_as_it_was_stored(self, tmp_path):
        rows = np.random.default_rng(1).normal(size=(20, 3))
        coherence.store(coherence.distribution(rows), "mine", "a test", tmp_path / "reference.json")
        assert coherence.distance(rows, "mine", tmp_path / "reference.json") == pytest.approx(0, abs=1e-4)


class TestAlignment:
    def test_prompts_of_the_world_are_read_as_their_scenes(self):
        for scene, prompt in zip(SCENES, PROMPTS, strict=True):
            wanted = {name: getattr(scene, name) for name in scoring.ATTRIBUTES}
            assert alignment.asked(prompt) == wanted, prompt

    def test_what_names_less_is_not_rated(self):
        assert alignment.asked("a lighthouse in a storm, waves against the rocks") is None
        assert alignment.asked("a red ball over grass") is None
        assert alignment.AttributeJudge().rate("a red ball", CLIPS[0], 8) is None

    def test_a_clip_of_its_scene_is_a_five_and_each_wrong_attribute_costs_one(self):
        judge = alignment.AttributeJudge()
        assert judge.rate("a red ball rolling left over grass", _clip("red", "left"), 8) == 5.0
        assert judge.rate("a red ball rolling right over grass", _clip("red", "left"), 8) == 4.0
        assert judge.rate("a blue ball rolling right over grass", _clip("red", "left"), 8) == 3.0

    @pytest.mark.parametrize(("answer", "number"), [("4", 4.0), (" 3.5 ", 3.5), ("2/5", 2.0), ("5.", 5.0)])
    def test_an_answer_is_one_number(self, answer, number):
        assert alignment.rating(answer) == number

    @pytest.mark.parametrize("answer", ["0", "6", "5.1", "about 4", "4 or 5", "", "nan"])
    def test_anything_else_is_none(self, answer):
        with pytest.raises(ValueError, match="no number"):
            alignment.rating(answer)

    def test_an_endpoint_sees_one_frame_a_second(self, endpoint):
        url, asked, _ = endpoint
        assert alignment.EndpointJudge(url, "a judge", "key").rate("a red ball", CLIPS[0], 8) == 4.0
        (body,) = asked
        kinds = [part["type"] for part in body["messages"][0]["content"]]
        assert kinds == ["text", "image_url", "image_url"]
        assert (body["model"], body["temperature"]) == ("a judge", 0)

    def test_an_endpoint_that_says_something_else_gives_no_rating(self, endpoint):
        url, _, answers = endpoint
        answers[:] = ["It is lovely"]
        with pytest.raises(alignment.JudgeUnavailable, match="ValueError"):
            alignment.EndpointJudge(url, "a judge").rate("a red ball", CLIPS[0], 8)

    def test_long_clips_are_shown_in_twelve_frames(self):
        assert len(alignment.at_one_fps(np.zeros((600, 2, 2, 3), np.uint8), 24)) == alignment.MOST_FRAMES
        assert len(alignment.at_one_fps(CLIPS[0], 8)) == 2


class TestThreshold:
    def test_it_lies_between_kinds_that_can_be_told_apart(self):
        found = best_threshold([0.01, 0.02, 0.03], [0.05, 0.09])
        assert (found.threshold, found.balanced_accuracy) == (0.04, 1.0)
        assert (found.coherent, found.broken) == (3, 2)

    def test_where_they_overlap_it_is_the_best_and_the_lowest_of_equals(self):
        found = best_threshold([1.0, 2.0, 6.0], [5.0, 7.0])
        assert found.threshold == 3.5
        assert found.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)

    def test_one_kind_alone_says_nothing(self):
        with pytest.raises(OneKindOnly):
            best_threshold([0.1], [])

    @given(
        strategies.lists(strategies.floats(0, 1), min_size=1, max_size=12),
        strategies.lists(strategies.floats(0, 1), min_size=1, max_size=12),
    )
    def test_no_limit_separates_better(self, coherent, broken_ones):
        found = best_threshold(coherent, broken_ones)

        def accuracy(limit):
            kept = sum(error <= limit for error in coherent) / len(coherent)
            return (kept + sum(error > limit for error in broken_ones) / len(broken_ones)) / 2

        assert found.balanced_accuracy == accuracy(found.threshold)
        assert all(accuracy(limit) <= found.balanced_accuracy for limit in [*coherent, *broken_ones])


class TestBridge:
    def test_ranks_share_the_mean_of_equals(self):
        assert bridge.ranks([10, 20, 20, 5]) == [2.0, 3.5, 3.5, 1.0]

    def test_spearman_is_as_in_the_textbook(self):
        assert bridge.spearman([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) == pytest.approx(0.8207827)
        assert bridge.spearman([1, 2, 3], [9, 4, 1]) == -1.0
        assert bridge.spearman([1, 2, 3], [2, 2, 2]) is None

    def test_too_few_pairs_have_no_figure(self):
        found = bridge.correlation([1, 2, 3], [1, 2, 3], chance=Random(1))
        assert (found.pairs, found.value, found.low) == (3, None, None)
        assert not found.says_something

    def test_the_interval_holds_a_true_connection_and_leaves_out_zero(self):
        chance = np.random.default_rng(4)
        first = chance.normal(size=120)
        second = -first + chance.normal(size=120)
        found = bridge.correlation(first.tolist(), second.tolist(), chance=Random(1), draws=300)
        assert found.low < found.value < found.high < 0
        assert found.says_something
        assert found == bridge.correlation(first.tolist(), second.tolist(), chance=Random(1), draws=300)

    def test_chance_is_not_taken_for_a_connection(self):
        chance = np.random.default_rng(9)
        found = bridge.correlation(
            chance.random(80).tolist(), chance.random(80).tolist(), chance=Random(1), draws=300
        )
        assert found.low < 0 < found.high
        assert not found.says_something


def _clip(colour: str, motion: str) -> np.ndarray:
    like = SCENES[0]
    kept = {"shape": "circle", "size": "medium", "background": "meadow", "seed": 5}
    return render(type(like)(colour=colour, motion=motion, **kept))


@pytest.fixture
def endpoint():
    """An OpenAI-compatible chat endpoint that gives the answers in turn, the last one again and again."""
    asked, answers = [], ["4"]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            said = answers.pop(0) if len(answers) > 1 else answers[0]
            body = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", asked, answers
    server.shutdown()
    server.server_close()
