"""Full-text search in PostgreSQL: what is found, in which order, and what is shown of it."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import User
from service.posts.highlights import START, STOP
from service.posts.repository import PostRepository
from service.posts.schemas import Hit
from tests.support.factories import MakePost


@pytest.fixture
def posts(db_session: AsyncSession) -> PostRepository:
    return PostRepository(db_session)


@pytest.fixture
async def library(ada: User, make_post: MakePost) -> None:
    """Three posts."""
    await make_post(author_id=ada.id, title="Testing", content="A database that is real.")
    await make_post(author_id=ada.id, title="Boards", content="Of tests we know: they tell the truth.")
    await make_post(author_id=ada.id, title="Cooking", content="Bread, butter and a little salt.")


async def found(posts: PostRepository, words: str) -> list[str]:
    return [post.title for post, *_ in await posts.search(words, 10)]


@pytest.mark.parametrize(
    ("words", "titles"),
    [
        pytest.param("test", ["Testing", "Boards"], id="any form of a word, the title before the text"),
        pytest.param("TESTED", ["Testing", "Boards"], id="whatever its case"),
        pytest.param("test truth", ["Boards"], id="all words"),
        pytest.param("truth or butter", ["Boards", "Cooking"], id="one of the words"),
        pytest.param("test -truth", ["Testing"], id="without a word"),
        pytest.param('"little salt"', ["Cooking"], id="words side by side"),
        pytest.param('"salt little"', [], id="words that are not side by side"),
        pytest.param("tes", [], id="no part of a word"),
        pytest.param("the", [], id="a word that says nothing"),
        pytest.param("';--", [], id="no word at all"),
        pytest.param('"unfinished', [], id="a quote left open"),
    ],
)
@pytest.mark.usefixtures("library")
async def test_words_find_posts(posts: PostRepository, words: str, titles: list[str]) -> None:
    found_titles = await found(posts, words)

    assert sorted(found_titles) == sorted(titles)
    if len(titles) > 1 and "or" not in words:
        assert found_titles == titles


@pytest.mark.usefixtures("library")
async def test_the_best_come_first_and_no_more_than_are_wanted(
    posts: PostRepository, ada: User, make_post: MakePost
) -> None:
    await make_post(author_id=ada.id, title="Tests of tests")

    best, two = [[post.title for post, *_ in await posts.search("test", limit)] for limit in (1, 2)]

    assert (best, two) == (["Tests of tests"], ["Tests of tests", "Testing"])


async def test_an_excerpt_is_a_part_of_the_text_with_marks(
    posts: PostRepository, ada: User, make_post: MakePost
) -> None:
    await make_post(author_id=ada.id, content="Filler. " * 200 + "Here is a board. " + "Filler. " * 200)

    ((_, _, _, excerpt),) = await posts.search("boards", 1)

    assert f"a {START}board{STOP}" in excerpt
    assert len(excerpt) < 400


async def test_marks_that_somebody_has_written_are_not_taken_for_ours(
    posts: PostRepository, ada: User, make_post: MakePost
) -> None:
    await make_post(author_id=ada.id, content=f"{START}forged{STOP} board")

    ((_, _, _, excerpt),) = await posts.search("board", 1)

    assert excerpt == f"forged {START}board{STOP}"


async def test_what_looks_like_a_tag_is_shown_as_it_was_written(
    posts: PostRepository, ada: User, make_post: MakePost
) -> None:
    await make_post(author_id=ada.id, title="Why <b> is bold", content="Boards are <b>bold</b> boards.")

    ((post, rank, title, excerpt),) = await posts.search("board", 1)

    hit = Hit.of(post, rank, title, excerpt)
    assert hit.title_html == "Why &lt;b&gt; is bold"
    assert hit.excerpt_html == ("<mark>Boards</mark> are &lt;b&gt;bold&lt;/b&gt; <mark>boards</mark>")


async def test_a_changed_post_is_found_by_its_new_words_alone(
    posts: PostRepository, ada: User, make_post: MakePost, db_session: AsyncSession
) -> None:
    post = await make_post(author_id=ada.id, title="Old", content="Words.")

    await posts.change(post, {"title": "New"})
    await db_session.commit()

    assert (await found(posts, "old"), await found(posts, "new")) == ([], ["New"])


async def test_the_index_serves_the_search(db_session: AsyncSession) -> None:
    await db_session.execute(text("SET LOCAL enable_seqscan = off"))
    query = "EXPLAIN SELECT id FROM posts WHERE words @@ websearch_to_tsquery('english', 'test')"

    plan = "\n".join((await db_session.scalars(text(query))).all())

    assert "Bitmap Index Scan on ix_posts_words" in plan
