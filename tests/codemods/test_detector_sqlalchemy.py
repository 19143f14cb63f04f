"""The sqlalchemy detector: what is given a statement is a call site, what the mapper decides itself is none."""


def test_engines_connections_and_sessions_are_found_in_every_shape(check):
    report = check("""
        import sqlalchemy as sa
        from sqlalchemy import create_engine, select, text
        from sqlalchemy.engine import Connection, Engine
        from sqlalchemy.orm import Session, scoped_session, sessionmaker

        engine = create_engine("sqlite://", echo=True)
        Local = sessionmaker(bind=engine)
        scoped = scoped_session(Local)

        with engine.connect() as connection:
            connection.execute(text("SELECT a FROM t WHERE b = :b"), {"b": 1})  # -> SELECT a FROM t WHERE b = ?
            connection.execution_options(stream_results=True).execute(sa.text("SELECT a FROM t"))  # -> SELECT a FROM t
            connection.exec_driver_sql("PRAGMA user_version")  # -> PRAGMA user_version
            connection.scalar(text("SELECT a FROM t").bindparams(b=1))  # -> SELECT a FROM t
        with engine.begin() as begun:
            begun.execute(text(f"DELETE FROM {table}"))  # -> DELETE FROM {}
        engine.execute("SELECT a FROM t")  # -> SELECT a FROM t
        raw = engine.raw_connection().cursor()
        raw.execute("SELECT a FROM t")  # -> SELECT a FROM t

        with Local() as session, session.begin():
            session.execute(text("SELECT a FROM t")).scalars().all()  # -> SELECT a FROM t
            session.scalars(select(User).where(User.id == 1)).first()  # -> ?
            session.connection().execute(text("SELECT a FROM t"))  # -> SELECT a FROM t
        with Local.begin() as begun_session:
            begun_session.execute(sa.update(User).values(a=1))  # -> ?
        with Session(engine) as direct:
            statement = select(User)
            statement = statement.limit(5)
            direct.execute(statement)  # -> ?
        scoped.execute(text("SELECT a FROM t"))  # -> SELECT a FROM t
        scoped().execute(text("SELECT a FROM t"))  # -> SELECT a FROM t

        def get_db():
            db = Local()
            try:
                yield db
            finally:
                db.close()

        def typed(db: Session, e: Engine, c: "Connection"):
            db.execute(text("SELECT a FROM t"))  # -> SELECT a FROM t
            c.execute(text("SELECT a FROM t"))  # -> SELECT a FROM t
            with e.connect() as connected:
                connected.execute(text("SELECT a FROM t"))  # -> SELECT a FROM t
    """)
    assert {(site.library, site.kind, site.is_async) for site in report.call_sites} == {("sqlalchemy", "db", False)}
    assert [site.method for site in report.call_sites if site.endpoint is None] == ["SELECT", "UPDATE", "SELECT"]


def test_asynchronous_ones_are_found_in_every_shape(check):
    report = check("""
        from sqlalchemy import select, text
        from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

        engine = create_async_engine("sqlite+aiosqlite://")
        Local = async_sessionmaker(engine, expire_on_commit=False)

        async def load():
            async with engine.begin() as connection:
                await connection.execute(text("SELECT a FROM t"))  # -> SELECT a FROM t
                async for row in await connection.stream(text("SELECT b FROM t")):  # -> SELECT b FROM t
                    row.get("a")
            async with Local() as session:
                (await session.execute(select(User))).scalars().all()  # -> ?
                await session.scalar(text("SELECT a FROM t"))  # -> SELECT a FROM t
            async with AsyncSession(engine) as direct, direct.begin():
                await direct.stream_scalars(text("SELECT a FROM t"))  # -> SELECT a FROM t

        class Repository:
            def __init__(self, session: AsyncSession) -> None:
                self._session = session

            async def load(self):
                return await self._session.execute(text("SELECT a FROM t"))  # -> SELECT a FROM t
    """)
    assert all(site.is_async for site in report.call_sites)


def test_flask_sqlalchemys_session_is_sqlalchemys(check):
    check(
        {
            "app/__init__.py": """
            from flask_sqlalchemy import SQLAlchemy
            db = SQLAlchemy()
        """,
            "app/views.py": """
            from sqlalchemy import text
            from app import db

            def load():
                db.session.execute(text("SELECT a FROM t"))  # -> SELECT a FROM t
                with db.engine.connect() as connection:
                    connection.execute(text("SELECT a FROM t"))  # -> SELECT a FROM t
                db.session.add(User())
                db.session.commit()
                User.query.filter_by(a=1).first()
        """,
        }
    )


def test_what_the_mapper_decides_itself_is_none(check):
    check("""
        from sqlalchemy import Column, MetaData, Table, create_engine, inspect, select, text
        from sqlalchemy.orm import Session, declarative_base, relationship, sessionmaker

        Base = declarative_base()
        engine = create_engine("sqlite://")
        Base.metadata.create_all(engine)
        MetaData().reflect(engine)
        inspect(engine).get_table_names()

        def work(session: Session, user):
            session.get(User, 1)
            session.query(User).filter(User.id == 1).all()
            session.query(User).get(1)
            session.query(User).delete()
            session.add(user)
            session.delete(user)
            session.merge(user)
            session.refresh(user)
            session.flush()
            session.commit()
            user.posts.all()
            select(User).execute()
            statement = text("SELECT a FROM t")
            statement.columns(a=1)
            session.bind.dispose()

        def other(command, executor):
            command.execute(text("SELECT a FROM t"))
            executor.scalar(1)
    """)
