//! What the module documentation of common::db says about statements written once, proved on both backends.

use super::{MIGRATIONS, Result};
use common::db::{AnyConn, Backend, Db, DbError, now_ms, statement};
use common::testing::on_each_backend;
use diesel::connection::InstrumentationEvent;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Binary, Bool, Double, Nullable, Text};

#[derive(QueryableByName, Queryable, Selectable, Insertable, Debug, PartialEq, Clone)]
#[diesel(table_name = super::things)]
struct Thing {
    id: String,
    name: String,
    note: Option<String>,
    size: i64,
    live: bool,
    score: Option<f64>,
    hash: Option<Vec<u8>>,
}

fn thing(n: i64) -> Thing {
    Thing {
        id: format!("t{n}"),
        name: format!("name {n} ' \" 视频 🎬"),
        note: (n % 2 == 0).then(|| format!("note {n}")),
        size: i64::MAX - n,
        live: n % 3 == 0,
        score: (n % 2 == 1).then_some(0.5),
        hash: (n % 2 == 1).then(|| vec![0, 255, n as u8]),
    }
}

/// One statement on the write connection.
fn check(statement: fn(&mut AnyConn) -> Result<()>) {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        db.write(statement).await.unwrap();
    });
}

#[test]
fn a_statement_is_prepared_once_and_means_what_it_says() {
    use super::things::dsl::*;
    check(|conn| {
        diesel::insert_into(things).values(&thing(1)).execute(conn)?;
        let (kept, seen) = std::sync::mpsc::channel();
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::CacheQuery { sql, .. } = event {
                kept.send(sql.to_owned()).unwrap();
            }
        });
        for n in 0..3 {
            let said = (n == 1).then_some("it's $9");
            let changed = statement("UPDATE things SET note = $1, size = $2 WHERE id = $3")
                .bind::<Nullable<Text>, _>(said)
                .bind::<BigInt, _>(n)
                .bind::<Text, _>("t1")
                .execute(conn)?;
            assert_eq!(changed, 1);
            let stored: Size = statement("SELECT size FROM things WHERE id = $1 AND size = $2")
                .bind::<Text, _>("t1")
                .bind::<BigInt, _>(n)
                .get_result(conn)?;
            assert_eq!(stored.size, n);
            assert_eq!(things.select(note).first::<Option<String>>(conn)?.as_deref(), said);
            now_ms(conn)?;
            // Diesel prepares these anew.
            diesel::update(things).set(name.eq("n")).execute(conn)?;
            sql_query("SELECT size FROM things").load::<Size>(conn)?;
        }
        let texts: Vec<String> = seen.try_iter().map(|text| text.replace('"', "`")).collect();
        let expected = [
            "UPDATE things SET note",
            "SELECT size",
            "SELECT `things`.`note`",
            "SELECT CAST",
        ];
        assert_eq!(texts.len(), expected.len(), "{texts:?}");
        assert!(
            texts.iter().zip(expected).all(|(text, begin)| text.starts_with(begin)),
            "{texts:?}"
        );
        conn.set_instrumentation(|_: InstrumentationEvent<'_>| {});
        Ok(())
    });
}

#[test]
fn a_statement_with_values_out_of_order_is_a_bug() {
    for text in [
        "SELECT $2",
        "SELECT 1",
        "SELECT $",
        "SELECT $1, $1",
        "SELECT $1, $3",
        "SELECT $$1, $2",
    ] {
        let bound = std::panic::catch_unwind(|| statement(text).bind::<BigInt, _>(1).bind::<BigInt, _>(2));
        assert!(bound.is_err(), "{text}");
    }
}

#[derive(QueryableByName)]
struct Size {
    #[diesel(sql_type = BigInt)]
    size: i64,
}

#[test]
fn the_query_language_inserts_updates_deletes_and_loads() {
    use super::things::dsl::*;
    check(|conn| {
        for n in 1..=6 {
            diesel::insert_into(things).values(&thing(n)).execute(conn)?;
        }
        let loaded: Vec<Thing> = things.order(id).select(Thing::as_select()).load(conn)?;
        assert_eq!(loaded, (1..=6).map(thing).collect::<Vec<_>>());
        let returned: (String, i64) = diesel::insert_into(things)
            .values((id.eq("x"), name.eq("x")))
            .returning((id, size))
            .get_result(conn)?;
        assert_eq!(returned, ("x".into(), 0));
        let changed = diesel::update(things.filter(note.is_null())).set((note.eq(Some("set")), size.eq(size - 1)));
        assert_eq!(changed.execute(conn)?, 4);
        assert_eq!(things.filter(note.eq("set")).count().get_result::<i64>(conn)?, 4);
        assert_eq!(diesel::delete(things.filter(id.eq("x"))).execute(conn)?, 1);
        let none = things.filter(id.eq("x")).select(id).first::<String>(conn).optional()?;
        assert_eq!(none, None);
        assert!(matches!(
            things
                .filter(id.eq("x"))
                .select(id)
                .first::<String>(conn)
                .map_err(DbError::from),
            Err(DbError::NotFound)
        ));
        let mut boxed = things.into_boxed().select(id).order(id.desc()).limit(2);
        boxed = boxed.filter(live.eq(false)).filter(name.like("name%"));
        assert_eq!(boxed.load::<String>(conn)?, ["t5", "t4"]);
        let exists: bool = diesel::select(diesel::dsl::exists(things.filter(id.eq("t1")))).get_result(conn)?;
        assert!(exists);
        Ok(())
    });
}

/// `$n` of PostgreSQL is a named parameter to SQLite, numbered by first occurrence.
#[test]
fn sql_query_binds_every_type_and_null() {
    check(|conn| {
        for n in 1..=3 {
            let t = thing(n);
            let done = sql_query(
                "INSERT INTO things (id, name, note, size, live, score, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind::<Text, _>(&t.id)
            .bind::<Text, _>(&t.name)
            .bind::<Nullable<Text>, _>(&t.note)
            .bind::<BigInt, _>(t.size)
            .bind::<Bool, _>(t.live)
            .bind::<Nullable<Double>, _>(t.score)
            .bind::<Nullable<Binary>, _>(&t.hash)
            .execute(conn)?;
            assert_eq!(done, 1);
            let read: Thing = sql_query("SELECT * FROM things WHERE id = $1")
                .bind::<Text, _>(&t.id)
                .get_result(conn)?;
            assert_eq!(read, t);
        }
        Ok(())
    });
}

#[test]
fn a_parameter_may_appear_again() {
    use super::things::dsl::*;
    check(|conn| {
        diesel::insert_into(things).values(&thing(2)).execute(conn)?;
        let rows: Vec<Thing> = sql_query(
            "SELECT * FROM things WHERE (note = $1 OR $1 = 'all') AND size > $2 AND note = $1 AND size > $2 - 1",
        )
        .bind::<Text, _>("note 2")
        .bind::<BigInt, _>(5)
        .load(conn)?;
        assert_eq!(rows, [thing(2)]);
        Ok(())
    });
}

/// Where nothing else tells its type, `bind` does.
#[test]
fn a_bare_parameter_has_the_type_of_its_bind() {
    #[derive(QueryableByName)]
    struct Bare {
        #[diesel(sql_type = BigInt)]
        n: i64,
        #[diesel(sql_type = Nullable<Text>)]
        t: Option<String>,
    }
    check(|conn| {
        let query = sql_query("SELECT $1 AS n, CASE WHEN $1 > 4 THEN COALESCE($2, $3) END AS t");
        let row: Bare = query
            .bind::<BigInt, _>(5)
            .bind::<Nullable<Text>, _>(None::<String>)
            .bind::<Text, _>("x")
            .get_result(conn)?;
        assert_eq!((row.n, row.t.as_deref()), (5, Some("x")));
        Ok(())
    });
}

#[test]
fn returning_and_on_conflict() {
    check(|conn| {
        let put = "INSERT INTO things (id, name, note) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET note = excluded.note, \
                   size = things.size + 1 RETURNING *";
        let upsert = |conn: &mut AnyConn, key: &str, text: Option<&str>| {
            sql_query(put)
                .bind::<Text, _>(key)
                .bind::<Text, _>("n")
                .bind::<Nullable<Text>, _>(text)
                .get_result::<Thing>(conn)
        };
        let first = upsert(conn, "a", Some("one"))?;
        assert_eq!(
            (first.id.as_str(), first.note.as_deref(), first.size),
            ("a", Some("one"), 0)
        );
        let second = upsert(conn, "b", None)?;
        assert_eq!((second.id.as_str(), second.note, second.size), ("a", None, 1));
        let nothing = sql_query("INSERT INTO things (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING *");
        let rows = nothing.bind::<Text, _>("c").bind::<Text, _>("n").load::<Thing>(conn)?;
        assert_eq!(rows, []);
        let deleted = sql_query("DELETE FROM things WHERE name = $1")
            .bind::<Text, _>("n")
            .execute(conn)?;
        assert_eq!(deleted, 1);
        Ok(())
    });
}

/// What a service uses for batches: several rows in one statement, a subquery that picks them, row values for cursors.
#[test]
fn values_lists_subqueries_and_row_values() {
    check(|conn| {
        let rows: Vec<Thing> =
            sql_query("INSERT INTO things (id, name) VALUES ($1, $2), ($3, $4), ($5, $6) RETURNING *")
                .bind::<Text, _>("a")
                .bind::<Text, _>("1")
                .bind::<Text, _>("b")
                .bind::<Text, _>("2")
                .bind::<Text, _>("c")
                .bind::<Text, _>("3")
                .load(conn)?;
        assert_eq!(rows.len(), 3);
        let updated = sql_query(
            "UPDATE things SET note = $1 WHERE id IN (SELECT id FROM things WHERE (size, id) < ($2, $3) ORDER BY id LIMIT $4)",
        )
        .bind::<Text, _>("x").bind::<BigInt, _>(0).bind::<Text, _>("c").bind::<BigInt, _>(5)
        .execute(conn)?;
        assert_eq!(updated, 2);
        Ok(())
    });
}

#[test]
fn constraints_are_conflicts_that_name_the_column() {
    use super::things::dsl::*;
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        db.write(|conn| -> Result<_> { Ok(diesel::insert_into(things).values(&thing(1)).execute(conn)?) })
            .await
            .unwrap();
        let twice = db
            .write(|conn| -> Result<_> {
                let again = Thing {
                    id: "other".into(),
                    ..thing(1)
                };
                Ok(diesel::insert_into(things).values(&again).execute(conn)?)
            })
            .await
            .unwrap_err();
        assert!(twice.conflicts_on("name") && !twice.conflicts_on("note"), "{twice:?}");
        let orphan = db
            .write(|conn| -> Result<_> {
                let row = (id.eq("o"), name.eq("o"), parent.eq("nobody"));
                Ok(diesel::insert_into(things).values(row).execute(conn)?)
            })
            .await
            .unwrap_err();
        assert!(matches!(orphan, DbError::Conflict { .. }), "{orphan:?}");
        let missing = db
            .read(|conn| -> Result<_> { Ok(sql_query("SELECT * FROM nothing").execute(conn)?) })
            .await
            .unwrap_err();
        assert!(matches!(missing, DbError::Internal(_)), "{missing:?}");
    });
}

#[test]
fn the_clock_is_the_databases_in_milliseconds() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        let here = || {
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap()
                .as_millis() as i64
        };
        let before = here();
        let now = db.read(|conn| -> Result<_> { Ok(now_ms(conn)?) }).await.unwrap();
        // SQLite's clock counts whole milliseconds, rounded.
        assert!((before - 1..=here() + 1).contains(&now), "{before} {now}");
        db.shift_clock(-3_600_000);
        let shifted = db.write(|conn| -> Result<_> { Ok(now_ms(conn)?) }).await.unwrap();
        assert!(shifted < now - 3_500_000);
        let backend = db.read(|conn| -> Result<Backend> { Ok(conn.backend()) }).await.unwrap();
        assert_eq!(backend, db.backend());
    });
}
