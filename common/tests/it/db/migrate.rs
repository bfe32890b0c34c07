//! Promise 21: old data is never half migrated.

use super::MIGRATIONS;
use common::db::{Backend, DatabaseUrl, Db, DbError, DbOptions, MigrateError, Migrations, migrate, pending};
use common::testing::TestDatabase;
use diesel::prelude::*;
use diesel::sql_query;
use diesel_migrations::embed_migrations;

static NEWER: Migrations = Migrations {
    sqlite: embed_migrations!("tests/migrations_newer/sqlite"),
    postgres: embed_migrations!("tests/migrations_newer/postgres"),
};

static BROKEN: Migrations = Migrations {
    sqlite: embed_migrations!("tests/migrations_broken/sqlite"),
    postgres: embed_migrations!("tests/migrations_broken/postgres"),
};

fn on_each(body: impl Fn(&TestDatabase, DatabaseUrl)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let database = TestDatabase::new(backend);
        body(&database, database.parsed());
    }
}

fn has_table(url: &DatabaseUrl, table: &'static str) -> bool {
    let db = Db::open(url, &DbOptions::default()).unwrap();
    let query = format!("SELECT * FROM {table}");
    actix_web::rt::System::new()
        .block_on(async move {
            db.read(move |conn| -> Result<_, DbError> { Ok(sql_query(query).execute(conn)?) })
                .await
        })
        .is_ok()
}

#[test]
fn migrations_are_applied_once_and_pending_changes_nothing() {
    on_each(|_, url| {
        assert_eq!(pending(&url, &NEWER).unwrap(), ["0001", "0002"]);
        if let DatabaseUrl::Sqlite { path } = &url {
            assert!(!path.exists(), "asking made no file");
        }
        assert_eq!(migrate(&url, &MIGRATIONS).unwrap().0, ["0001"]);
        assert_eq!(pending(&url, &NEWER).unwrap(), ["0002"]);
        assert_eq!(migrate(&url, &NEWER).unwrap().0, ["0002"]);
        assert!(migrate(&url, &NEWER).unwrap().0.is_empty());
        assert!(pending(&url, &NEWER).unwrap().is_empty());
        assert!(has_table(&url, "things") && has_table(&url, "more"));
    });
}

#[test]
fn promise_21_a_binary_older_than_its_database_refuses() {
    on_each(|_, url| {
        migrate(&url, &NEWER).unwrap();
        for refused in [
            migrate(&url, &MIGRATIONS).map(|_| ()),
            pending(&url, &MIGRATIONS).map(|_| ()),
        ] {
            let error = refused.unwrap_err();
            assert!(
                matches!(&error, MigrateError::Newer(version) if version == "0002"),
                "{error}"
            );
            assert!(error.to_string().contains("newer than this binary"));
        }
    });
}

#[test]
fn promise_21_a_failed_migration_leaves_the_old_version_whole() {
    on_each(|_, url| {
        migrate(&url, &MIGRATIONS).unwrap();
        let error = migrate(&url, &BROKEN).unwrap_err();
        assert!(
            matches!(&error, MigrateError::Failed { version, .. } if version == "0003"),
            "{error}"
        );
        assert!(has_table(&url, "things") && !has_table(&url, "more") && !has_table(&url, "half"));
        assert_eq!(pending(&url, &NEWER).unwrap(), ["0002"]);
        migrate(&url, &NEWER).unwrap();
    });
}

/// Locks are between connections, so threads stand for processes.
#[test]
fn promise_21_one_process_migrates_at_a_time() {
    on_each(|_, url| {
        let applied: Vec<Vec<String>> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| migrate(&url, &NEWER).unwrap().0))
                .collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(
            applied.iter().filter(|versions| versions.len() == 2).count(),
            1,
            "{applied:?}"
        );
        assert_eq!(
            applied.iter().filter(|versions| versions.is_empty()).count(),
            7,
            "{applied:?}"
        );
    });
}

#[test]
fn services_share_a_postgres_database_in_their_own_schemas() {
    let database = TestDatabase::new(Backend::Postgres);
    let urls = [
        format!("{}?schema=api", database.url),
        format!("{}?options=-csearch_path%3Dstream", database.url),
    ];
    for url in urls {
        let url: DatabaseUrl = url.parse().unwrap();
        assert_eq!(pending(&url, &NEWER).unwrap(), ["0001", "0002"]);
        assert_eq!(migrate(&url, &NEWER).unwrap().0, ["0001", "0002"]);
        assert!(has_table(&url, "things"));
    }
    let outside = database.parsed();
    assert!(!has_table(&outside, "things"));
    assert!(has_table(&outside, "api.things") && has_table(&outside, "stream.more"));
}
