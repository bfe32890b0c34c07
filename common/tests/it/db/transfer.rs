//! Moving tables between databases of either kind: everything arrives, an interrupted move goes on, and nothing that is not its own
//! is touched.

use common::db::transfer::{Begun, Transfer, TransferError};
use common::db::{Backend, DatabaseUrl, Db, DbError, DbOptions, MigrateError, Migrations, migrate};
use common::testing::TestDatabase;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};
use diesel_migrations::embed_migrations;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

static ALL: Migrations = Migrations {
    sqlite: embed_migrations!("tests/migrations_transfer/sqlite"),
    postgres: embed_migrations!("tests/migrations_transfer/postgres"),
};

const TABLES: &[&str] = &["owners", "entries", "numbered"];

/// More than two pages.
const ENTRIES: i64 = 1203;

const TEXTS: [&str; 9] = [
    "",
    "plain",
    "it's \"quoted\" \\ and {\"json\": [1, null]}",
    "[]",
    "null",
    "line\nbreak\ttab\r",
    "弹幕 🎬 e\u{301} \u{202e}",
    "\u{1}\u{7f}\u{2028}",
    "0123",
];

fn directions() -> [(Backend, Backend); 4] {
    let (lite, post) = (Backend::Sqlite, Backend::Postgres);
    [(lite, post), (post, lite), (lite, lite), (post, post)]
}

fn on<T: Send + 'static>(
    url: &DatabaseUrl,
    f: impl FnOnce(&mut common::db::AnyConn) -> QueryResult<T> + Send + 'static,
) -> T {
    let db = Db::open(url, &DbOptions::default()).unwrap();
    let run = async move { db.write(move |conn| Ok::<_, DbError>(f(conn)?)).await.unwrap() };
    actix_web::rt::System::new().block_on(run)
}

/// Waits until the last connection to a file is closed, which writes its log into it: a [`Db`] closes behind its owner's back.
fn is_closed(path: &Path) {
    let log = PathBuf::from(format!("{}-wal", path.display()));
    for _ in 0..1_000 {
        if !log.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{} is still there", log.display());
}

fn fill(url: &DatabaseUrl) {
    migrate(url, &ALL).unwrap();
    on(url, |conn| {
        for (n, text) in TEXTS.iter().enumerate() {
            let hash = (n % 3 != 0).then(|| (0..n as u8 * 30).collect::<Vec<u8>>());
            sql_query("INSERT INTO owners (id, hash, hidden, size) VALUES ($1, $2, $3, $4)")
                .bind::<Text, _>(format!("{n} {text}"))
                .bind::<Nullable<Binary>, _>(hash)
                .bind::<Bool, _>(n % 2 == 0)
                .bind::<Nullable<BigInt>, _>([Some(i64::MAX), Some(i64::MIN), None][n % 3])
                .execute(conn)?;
        }
        for n in 0..ENTRIES {
            let text = TEXTS[n as usize % TEXTS.len()];
            sql_query("INSERT INTO entries (owner, seq, text, kept) VALUES ($1, $2, $3, $4)")
                .bind::<Text, _>(format!("1 {}", TEXTS[1]))
                .bind::<BigInt, _>(n * 1_000_003)
                .bind::<Nullable<Text>, _>((n % 4 != 0).then_some(text))
                .bind::<Nullable<Bool>, _>([Some(true), Some(false), None][n as usize % 3])
                .execute(conn)?;
        }
        for _ in 0..7 {
            sql_query("INSERT INTO numbered (text) VALUES ('x')").execute(conn)?;
        }
        // The newest is gone, and its number is not given again.
        sql_query("DELETE FROM numbered WHERE id > 3").execute(conn).map(drop)
    });
    if let DatabaseUrl::Sqlite { path } = url {
        is_closed(path);
    }
}

fn begin(from: &TestDatabase, to: &TestDatabase, start_over: bool) -> Result<(Transfer, Begun), TransferError> {
    Transfer::begin(&from.parsed(), &to.parsed(), &ALL, TABLES, start_over)
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn number(url: &DatabaseUrl, text: &'static str) -> i64 {
    on(url, move |conn| Ok(sql_query(text).get_result::<Number>(conn)?.n))
}

#[test]
fn everything_arrives_in_every_direction() {
    for (source, target) in directions() {
        let (from, to) = (TestDatabase::new(source), TestDatabase::new(target));
        fill(&from.parsed());
        let (mut transfer, begun) = begin(&from, &to, false).unwrap();
        assert_eq!(begun, Begun::Fresh);
        let mut told = Vec::new();
        transfer
            .copy(&mut |table, rows| told.push((table.to_owned(), rows)))
            .unwrap();
        let sums = transfer.verify().unwrap();
        let rows: Vec<_> = sums.iter().map(|(table, sum)| (*table, sum.rows)).collect();
        assert_eq!(rows, [("owners", 9), ("entries", ENTRIES as u64), ("numbered", 3)]);
        assert!(told.contains(&("entries".to_owned(), ENTRIES as u64)), "{told:?}");
        // A service that starts before the end would work on half of it.
        let early = migrate(&to.parsed(), &ALL).unwrap_err();
        assert!(matches!(early, MigrateError::Unfinished(_)), "{early}");
        transfer.finish(|_| Ok(())).unwrap();
        drop(transfer);
        migrate(&to.parsed(), &ALL).unwrap();
        assert_eq!(begin(&from, &to, false).unwrap().1, Begun::Finished);
        // What is written next gets the number that it would have got at home.
        on(&to.parsed(), |conn| {
            sql_query("INSERT INTO numbered (text) VALUES ('next')")
                .execute(conn)
                .map(drop)
        });
        assert_eq!(
            number(&to.parsed(), "SELECT id AS n FROM numbered WHERE text = 'next'"),
            8
        );
        let strange = "SELECT COUNT(*) AS n FROM owners WHERE hidden AND size = 9223372036854775807";
        assert_eq!(number(&to.parsed(), strange), number(&from.parsed(), strange));
    }
}

#[test]
fn an_interrupted_move_goes_on_wherever_it_was_cut() {
    for (source, target) in directions() {
        let from = TestDatabase::new(source);
        fill(&from.parsed());
        for cut_after in 1..=5 {
            let to = TestDatabase::new(target);
            let (mut transfer, _) = begin(&from, &to, false).unwrap();
            let mut left = cut_after;
            let cut = catch_unwind(AssertUnwindSafe(|| {
                transfer.copy(&mut |_, _| {
                    left -= 1;
                    assert!(left > 0, "cut");
                })
            }));
            assert!(cut.is_err(), "it was cut after {cut_after} pages");
            drop(transfer);
            let (mut transfer, begun) = begin(&from, &to, false).unwrap();
            assert_eq!(begun, Begun::Continued);
            transfer.copy(&mut |_, _| {}).unwrap();
            assert_eq!(transfer.verify().unwrap()[1].1.rows, ENTRIES as u64);
        }
    }
}

#[test]
fn what_is_not_its_own_is_refused_and_untouched() {
    for (source, target) in directions() {
        let (from, to, other) = (
            TestDatabase::new(source),
            TestDatabase::new(target),
            TestDatabase::new(source),
        );
        fill(&from.parsed());
        fill(&other.parsed());
        migrate(&to.parsed(), &ALL).unwrap();
        on(&to.parsed(), |conn| {
            sql_query("INSERT INTO numbered (text) VALUES ('mine')")
                .execute(conn)
                .map(drop)
        });
        for start_over in [false, true] {
            let error = begin(&from, &to, start_over).err().unwrap();
            assert!(error.to_string().contains("isn't empty"), "{error}");
        }
        assert_eq!(number(&to.parsed(), "SELECT COUNT(*) AS n FROM numbered"), 1);
        on(&to.parsed(), |conn| {
            sql_query("DELETE FROM numbered").execute(conn).map(drop)
        });
        begin(&from, &to, false).unwrap().0.copy(&mut |_, _| {}).unwrap();
        let error = begin(&other, &to, false).err().unwrap();
        assert!(error.to_string().contains("unfinished move"), "{error}");
        // The source has changed since: found, and begun anew.
        on(&from.parsed(), |conn| {
            sql_query("UPDATE entries SET text = 'changed' WHERE seq = 1000003")
                .execute(conn)
                .map(drop)
        });
        let (mut transfer, _) = begin(&from, &to, false).unwrap();
        transfer.copy(&mut |_, _| {}).unwrap();
        let error = transfer.verify().unwrap_err();
        assert!(error.to_string().contains("table entries"), "{error}");
        drop(transfer);
        let (mut transfer, begun) = begin(&from, &to, true).unwrap();
        assert_eq!(begun, Begun::Fresh);
        transfer.copy(&mut |_, _| {}).unwrap();
        transfer.verify().unwrap();
    }
}

#[test]
fn a_source_that_is_older_or_absent_or_the_same_is_refused() {
    let (from, to) = (TestDatabase::new(Backend::Sqlite), TestDatabase::new(Backend::Sqlite));
    let refused = |error: TransferError| error.to_string();
    assert!(refused(begin(&from, &to, false).err().unwrap()).contains("not there"));
    migrate(&from.parsed(), &super::MIGRATIONS).unwrap();
    let newer = begin(&from, &to, false).err().unwrap();
    assert!(
        matches!(newer, TransferError::Migrate(_) | TransferError::Refused(_)),
        "{newer}"
    );
    let good = TestDatabase::new(Backend::Sqlite);
    fill(&good.parsed());
    assert!(refused(begin(&good, &good, false).err().unwrap()).contains("same"));
}

#[test]
fn the_source_stays_as_it_is_byte_for_byte() {
    let (from, to) = (TestDatabase::new(Backend::Sqlite), TestDatabase::new(Backend::Sqlite));
    fill(&from.parsed());
    let DatabaseUrl::Sqlite { path } = from.parsed() else {
        unreachable!()
    };
    let before = std::fs::read(&path).unwrap();
    let (mut transfer, _) = begin(&from, &to, false).unwrap();
    transfer.copy(&mut |_, _| {}).unwrap();
    transfer.verify().unwrap();
    drop(transfer);
    assert!(before == std::fs::read(&path).unwrap());
}
