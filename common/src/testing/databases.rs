//! Fresh databases for tests, and the runner that gives a body one of each kind.

use super::postgres;
use crate::db::{Backend, DatabaseUrl, Db, DbOptions, Migrations, migrate};
use std::future::Future;
use std::time::{Duration, Instant};

/// A fresh, empty database; gone when dropped. Everything that uses it must be closed before.
pub struct TestDatabase {
    pub backend: Backend,
    /// As a service's configuration takes it.
    pub url: String,
    _dir: Option<tempfile::TempDir>,
}

impl TestDatabase {
    pub fn new(backend: Backend) -> TestDatabase {
        match backend {
            Backend::Sqlite => {
                let dir = tempfile::tempdir().expect("a temporary directory");
                let url = format!("sqlite:{}", dir.path().join("test.db").display());
                TestDatabase {
                    backend,
                    url,
                    _dir: Some(dir),
                }
            }
            Backend::Postgres => TestDatabase {
                backend,
                url: postgres::fresh_database(),
                _dir: None,
            },
        }
    }

    pub fn parsed(&self) -> DatabaseUrl {
        self.url.parse().expect("a URL made here is good")
    }

    /// Migrated and opened.
    pub fn open(&self, migrations: &Migrations, options: &DbOptions) -> Db {
        migrate(&self.parsed(), migrations).expect("the migrations apply to an empty database");
        Db::open(&self.parsed(), options).expect("the fresh database opens")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.backend == Backend::Postgres {
            postgres::drop_database(&self.url);
        }
    }
}

/// Runs `body` on a fresh, migrated SQLite file and then on a fresh, migrated PostgreSQL database, each in its own thread with an
/// actix System (so that `actix_web::rt::spawn` and `tokio::spawn` work). Fails when a clone of the `Db` outlives the body.
pub fn on_each_backend<F, Fut>(migrations: &Migrations, body: F)
where
    F: Fn(Db) -> Fut + Sync,
    Fut: Future<Output = ()>,
{
    on_each_backend_with(migrations, &DbOptions::default(), |db, _| body(db));
}

/// The same with own options and the URL, for tests that open the database a second time.
pub fn on_each_backend_with<F, Fut>(migrations: &Migrations, options: &DbOptions, body: F)
where
    F: Fn(Db, String) -> Fut + Sync,
    Fut: Future<Output = ()>,
{
    for backend in [Backend::Sqlite, Backend::Postgres] {
        std::thread::scope(|scope| {
            let name = format!("{} on {backend:?}", std::thread::current().name().unwrap_or("test"));
            let run = std::thread::Builder::new()
                .name(name)
                .spawn_scoped(scope, || run_on(backend, migrations, options, &body))
                .expect("a thread starts");
            if let Err(panic) = run.join() {
                std::panic::resume_unwind(panic);
            }
        });
    }
}

fn run_on<F, Fut>(backend: Backend, migrations: &Migrations, options: &DbOptions, body: &F)
where
    F: Fn(Db, String) -> Fut,
    Fut: Future<Output = ()>,
{
    let database = TestDatabase::new(backend);
    let db = database.open(migrations, options);
    let open = db.watch();
    let system = actix_web::rt::System::new();
    system.block_on(body(db, database.url.clone()));
    drop(system);
    let started = Instant::now();
    while open() {
        assert!(
            started.elapsed() < LET_GO,
            "the test on {backend:?} left a Db behind: stop what it started"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How long servers and runners that were told to stop may take.
const LET_GO: Duration = Duration::from_secs(10);
