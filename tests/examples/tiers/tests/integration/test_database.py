from sqlalchemy import text


async def test_select(db_session):
    assert await db_session.scalar(text("SELECT 1")) == 1
