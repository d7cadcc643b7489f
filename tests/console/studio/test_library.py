"""The library: an organization's clips, filtered in the address, in pages that neither repeat nor lose one."""

import html
import re
from datetime import timedelta

import pytest
from django.db.models import F

from generation import library
from generation.library import Question
from generation.models import Job
from tests.console.crowd import crowd
from tests.console.people import clip, code, join, person, signed_in
from tests.generation.api_stage import deliver, media_folder

__all__ = ["media_folder"]  # a fixture
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]


def ids(page: str) -> list[str]:
    return re.findall(r'data-row href="/jobs/(video_[0-9a-f]{32})/"', page)


def asked(client, **query) -> list[str]:
    answer = client.get("/library/", query)
    assert answer.status_code == 200
    return ids(answer.content.decode())


def test_the_gallery_has_the_organizations_clips_whoever_made_them_and_nothing_else():
    client, caller = person()
    _, stranger = person()
    done = deliver(clip(caller))
    waiting, theirs, text = clip(caller), clip(stranger), code(caller)
    shown = asked(client)
    assert shown == [waiting.public_id, done.public_id]
    assert theirs.public_id not in shown
    colleague = signed_in(join(caller.organization, "member"))
    assert asked(colleague) == shown
    assert asked(colleague, whose="mine") == []
    assert asked(client, whose="mine") == shown
    assert text.public_id not in client.get("/library/").content.decode()


def test_filters_stand_in_the_address_and_narrow():
    client, caller = person()
    ball = deliver(clip(caller, prompt="A red ball rolls over grass"))
    star = clip(caller, prompt="a yellow star in the snow")
    assert asked(client, q="BALL grass") == [ball.public_id]
    assert asked(client, q="ball snow") == []
    assert asked(client, q="100%_") == []
    assert asked(client, state="delivered") == [ball.public_id]
    assert asked(client, state="open") == [star.public_id]
    assert asked(client, state="stopped") == []
    assert asked(client, order="oldest") == [ball.public_id, star.public_id]
    size = f"{ball.spec['width']}x{ball.spec['height']}"
    assert asked(client, size=size, seconds=str(ball.spec["seconds"])) == [star.public_id, ball.public_id]
    assert "Nothing fits" in client.get("/library/", {"q": "no such words"}).content.decode()


@pytest.mark.parametrize(
    "query",
    [
        {"state": "odd"},
        {"size": "1x1"},
        {"seconds": "x"},
        {"order": "up"},
        {"whose": "theirs"},
        {"after": "x"},
    ],
)
def test_a_filter_that_is_none_is_refused_in_words(query):
    client, _ = person()
    assert client.get("/library/", query).status_code == 400


def test_anothers_clip_is_no_cursor():
    client, _ = person()
    _, stranger = person()
    assert client.get("/library/", {"after": clip(stranger).public_id}).status_code == 400


def test_an_empty_library_leads_to_the_studio():
    client, _ = person()
    assert "Make the first clip" in client.get("/library/").content.decode()


@pytest.mark.parametrize(
    "query", [{}, {"order": "oldest"}, {"q": "red"}, {"whose": "mine", "order": "oldest"}]
)
def test_pages_neither_repeat_nor_lose_a_clip(query, monkeypatch):
    client, caller = person()
    clip(caller)
    crowd(caller.organization, 60)  # all with the same time: the id breaks the tie
    monkeypatch.setattr(
        library, "LOOKED_AT", 20
    )  # less than a page: the cursor goes on behind what was looked at
    seen, after = [], None
    for _ in range(20):
        answer = client.get("/library/", {**query, **({"after": after} if after else {})}).content.decode()
        seen += ids(answer)
        following = re.search(r'rel="next" href="\?([^"]+)"', answer)
        if following is None:
            break
        after = re.search(r"after=([0-9a-f-]+)", html.unescape(following[1]))[1]
    everything = {job.public_id for job in Job.objects.filter(organization=caller.organization)}
    assert len(seen) == len(set(seen)) == 61
    assert set(seen) == everything


def test_a_clip_whose_files_are_gone_is_shown_as_gone_and_can_not_be_chosen():
    client, caller = person()
    job = deliver(clip(caller))
    Job.objects.filter(pk=job.pk).update(expires_at=F("finished_at") + timedelta(milliseconds=1))
    page = client.get("/library/").content.decode()
    assert "Its files are no longer kept" in page
    assert 'name="clip"' not in page
    assert "Remix" in page


def test_two_clips_side_by_side_say_what_differs():
    client, caller = person()
    left = deliver(clip(caller, prompt="a red ball"))
    right = deliver(clip(caller, prompt="a blue ball"))
    page = html.unescape(
        client.get(f"/library/compare/?clip={left.public_id}&clip={right.public_id}").content.decode()
    )
    assert page.count("<video") == 2
    differing = re.findall(r'<tr class="differs"><th scope="row">(\w+)', page)
    assert differing == ["Prompt", "Seed"]


def test_a_comparison_needs_two_of_ones_own():
    client, caller = person()
    mine = clip(caller)
    _, stranger = person()
    theirs = clip(stranger)
    assert client.get(f"/library/compare/?clip={mine.public_id}")["Location"] == "/library/"
    assert client.get("/library/compare/?clip=x&clip=y")["Location"] == "/library/"
    assert client.get(f"/library/compare/?clip={mine.public_id}&clip={theirs.public_id}").status_code == 404


def test_recent_prompts_are_a_persons_own_each_once_newest_first():
    client, caller = person()
    for words in ("one ball", "two balls", "one ball"):
        clip(caller, prompt=words)
    assert library.recent_prompts(caller.organization.pk, caller.user.pk, 8) == ["one ball", "two balls"]
    colleague = join(caller.organization, "member")
    assert library.recent_prompts(caller.organization.pk, colleague.pk, 8) == []
    assert 'data-prompt="two balls"' in client.get("/").content.decode()


def test_a_question_that_asks_for_nothing_is_no_search():
    assert not Question(words="  ", state="").narrow
    assert Question(state="open").filtered
