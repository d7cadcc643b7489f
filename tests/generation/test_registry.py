"""What is registered: typed facts, shipped weights as candidates, and which precision a tier's jobs run at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import TierTerms
from generation import admission, registry, specs
from generation.evaluation import effects
from generation.models import Evaluation, RegisteredModel
from generation.revisions import model_facts
from generation.revisions.model_facts import ClipFacts, CodeFacts, FactsInvalid
from tests.generation.api_stage import tenant
from tests.generation.queueing import CLIP, caller, submit, submit_code
from tests.generation.rollout_stage import candidate, gate_run, serve

WORDS = st.text("x64b f16int8", max_size=6)
CLIP_FACTS = {"sizes": ["64x64"], "seconds": [2], "fps": 8, "guidance": 4.0}


def test_facts_are_read_into_one_typed_value():
    read = model_facts.read(
        "clip", CLIP_FACTS | {"precisions": ["bf16", "fp8", "int8"], "steps_most": 8}, "bf16"
    )
    assert read == ClipFacts(
        sizes=("64x64",), seconds=(2,), fps=8, guidance=4.0, precisions=("bf16", "fp8", "int8"), steps_most=8
    )
    assert read.low_precision == "fp8"
    assert model_facts.read("code", {"context": 512}, "fp32") == CodeFacts(512, ("fp32",))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"sizes": []}, "facts.sizes"),
        ({"sizes": ["64×64"]}, "facts.sizes"),
        ({"seconds": [0]}, "facts.seconds"),
        ({"fps": "8"}, "facts.fps"),
        ({"guidance": True}, "facts.guidance"),
        ({"precisions": ["int8"]}, "begins with the full precision"),
        ({"precisions": ["bf16", "int4"]}, "facts.precisions"),
        ({"image_to_video": "yes"}, "facts.image_to_video"),
        ({"options": ["compile"]}, "facts.options"),
        ({"szes": ["64x64"]}, "unknown keys: szes"),
    ],
)
def test_facts_that_are_wrong_are_refused_by_name(change, named):
    with pytest.raises(FactsInvalid, match=named):
        model_facts.read("clip", CLIP_FACTS | change, "bf16")


@given(
    st.dictionaries(
        st.sampled_from(
            ["sizes", "seconds", "fps", "guidance", "precisions", "options", "memory_mb", "other"]
        ),
        st.none() | st.booleans() | st.integers() | WORDS | st.lists(WORDS | st.integers()),
    )
)
def test_any_json_is_read_or_refused(written):
    try:
        model_facts.read("clip", written, "bf16")
    except FactsInvalid:
        return


@pytest.mark.django_db
class TestPrecision:
    @pytest.fixture(autouse=True)
    def low_variant(self):
        self.model = serve(candidate(facts={**CLIP_FACTS, "precisions": ["bf16", "int8"]}))

    def test_free_jobs_run_low_and_paid_ones_full(self):
        free, plus = submit(tenant("free"), seed=1), submit(tenant("plus"), seed=1)
        assert (free.spec["precision"], plus.spec["precision"]) == ("int8", "bf16")
        assert free.spec_hash != plus.spec_hash
        assert submit_code(tenant("free")).spec["precision"] == "fp32"  # no low variant

    def test_the_quote_says_it_and_writes_nothing(self):
        quoted = admission.quote_clip(caller(tenant("free")), CLIP)
        assert (quoted["spec"]["precision"], quoted["low_precision"]) == ("int8", True)
        assert admission.quote_clip(caller(tenant("pro")), CLIP)["low_precision"] is False

    def test_a_repeated_key_is_the_same_job_after_the_terms_changed(self):
        customer = tenant("free")
        first = admission.submit_clip(caller(customer), CLIP, idempotency_key="k")
        newest = TierTerms.objects.filter(tier_id="free").order_by("-effective_from").first()
        newest.pk, newest.precision = None, "full"
        newest.effective_from = newest.effective_from.replace(year=newest.effective_from.year, month=2)
        newest.author, newest.reason = "test", "full for all"
        newest.save(force_insert=True)
        again = admission.submit_clip(caller(customer), CLIP, idempotency_key="k")
        assert again == first
        assert again.spec["precision"] == "int8"
        assert submit(customer).spec["precision"] == "bf16"

    def test_every_field_of_the_spec_but_none_else_decides_the_hash(self):
        terms = TierTerms.objects.filter(tier_id="free").first()
        spec = specs.clip_spec(CLIP | {"seed": 3}, terms, self.model)
        assert specs.spec_hash(spec, self.model) == specs.spec_hash(spec, self.model)
        assert specs.stored(spec)["precision"] == "int8"

    def test_a_model_of_few_steps_runs_no_more_than_that(self):
        serve(candidate(facts={**CLIP_FACTS, "steps_most": 8}))
        job = submit(tenant("pro"))
        assert (job.steps, job.spec["steps"]) == (8, 8)


@pytest.mark.django_db
def test_other_weights_become_a_candidate_and_the_old_revision_serves_on(monkeypatch):
    (before,) = [model for model in registry.available() if model.name == "pocket-video"]
    assert registry.register_shipped() == []
    monkeypatch.setattr(registry.facts, "revision_of", lambda folder: f"new-{folder.name}"[:16])
    new = registry.register_shipped()
    assert [model.revision for model in new] == ["new-pocket-video", "new-pocket-code"]
    assert registry.find(None, "clip") == before
    assert [model.pk for model in registry.register_shipped()] == [model.pk for model in new]
    monkeypatch.setattr(registry.facts, "revision_of", lambda folder: f"newer-{folder.name}"[:16])
    registry.register_shipped()
    assert RegisteredModel.objects.get(pk=new[0].pk).status == "retired"  # its files are gone


@pytest.mark.django_db
def test_speed_is_compared_only_between_runs_of_the_same_work():
    (model,) = [model for model in registry.available() if model.name == "pocket-video"]

    def run(precision: str, seconds: float, **fields) -> None:
        figures = {"all": 0.5, "seconds_per_clip": seconds}
        values = {
            "suite": Evaluation.Suite.PROMPTS,
            "precision": precision,
            "figures": figures,
            "floors": {"all": 0.85},
        }
        gate_run(model, passed=False, **values | fields)

    run("bf16", 3.0)
    run("int8", 2.0, seed=9)
    assert variant(model, "int8").speed is None
    run("int8", 2.0)
    assert variant(model, "int8").speed == 1.5
    run("int8", 1.0, device="another")
    assert variant(model, "int8").speed == 1.5
    run("bf16", 1.5, options={"compile": True})
    compiled = next(v for v in effects.of([model])[model.pk].variants if v.options == {"compile": True})
    assert compiled.speed == 2.0
    assert variant(model, "bf16").speed is None


def variant(model: RegisteredModel, precision: str) -> effects.Variant:
    found = effects.of([model])[model.pk].variants
    return next(v for v in found if v.precision == precision and not v.options)
