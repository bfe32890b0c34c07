//! 1,000,000 queued jobs do not slow a poll: the statement that every poll runs reads its index and nothing else.

use common::db::{AnyConn, Backend, Db, DbError, now_ms};
use common::testing::on_each_backend;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use scheduler_service::MIGRATIONS;
use scheduler_service::ops::{self, Terms};

const QUEUED: i64 = 1_000_000;

fn fill(conn: &mut AnyConn, now: i64) -> QueryResult<usize> {
    let numbers = match conn.backend() {
        Backend::Sqlite => "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)",
        Backend::Postgres => "WITH n(i) AS (SELECT generate_series(1, 1000000))",
    };
    // Well-formed UUIDs, ascending; all of them due.
    let hex = match conn.backend() {
        Backend::Sqlite => "printf('%012x', i)",
        Backend::Postgres => "lpad(to_hex(i), 12, '0')",
    };
    sql_query(format!(
        "INSERT INTO jobs (id, kind, key, payload, wanted_at, run_at, state, attempts, fence, operation_id, created_at) \
         {numbers} SELECT '01890a5d-ac96-774b-bcce-' || {hex}, 'purge', 'k' || i, '{{}}', {now} - i, {now} - i, 'scheduled', 0, 0, \
         'op', {now} FROM n"
    ))
    .execute(conn)
}

fn plan(conn: &mut AnyConn, statement: &str) -> QueryResult<String> {
    match conn {
        AnyConn::Sqlite(conn) => {
            #[derive(QueryableByName)]
            struct Step {
                #[diesel(sql_type = Text)]
                detail: String,
            }
            let steps: Vec<Step> = sql_query(format!("EXPLAIN QUERY PLAN {statement}")).load(conn)?;
            Ok(steps.into_iter().map(|step| step.detail).collect::<Vec<_>>().join("\n"))
        }
        AnyConn::Postgres(conn) => {
            #[derive(QueryableByName)]
            #[diesel(check_for_backend(diesel::pg::Pg))]
            struct Step {
                #[diesel(sql_type = Text)]
                #[diesel(column_name = "QUERY PLAN")]
                text: String,
            }
            let steps: Vec<Step> = sql_query(format!("EXPLAIN {statement}")).load(conn)?;
            Ok(steps.into_iter().map(|step| step.text).collect::<Vec<_>>().join("\n"))
        }
    }
}

#[test]
fn a_poll_of_a_million_queued_jobs_uses_its_index() {
    on_each_backend(&MIGRATIONS, |db: Db| async move {
        db.write(|conn| -> Result<(), DbError> {
            // More than a request may ever take.
            if conn.backend() == Backend::Postgres {
                sql_query("SET LOCAL statement_timeout = '120s'").execute(conn)?;
            }
            let now = now_ms(conn)?;
            assert_eq!(fill(conn, now)?, QUEUED as usize);
            let by_index = |conn: &mut AnyConn, statement: &str, index: &str| -> Result<(), DbError> {
                let plan = plan(conn, statement)?;
                assert!(plan.contains(index), "{statement}\n{plan}");
                assert!(
                    !plan.contains("Seq Scan") && !plan.contains("TEMP B-TREE") && !plan.contains("Sort"),
                    "{plan}"
                );
                Ok(())
            };
            let due = ops::DUE
                .replace("$1", "'purge'")
                .replace("$2", &now.to_string())
                .replace("$3", "8");
            by_index(conn, &due, "jobs_due")?;
            by_index(
                conn,
                "SELECT MIN(run_at) AS at FROM jobs WHERE state = 'scheduled' AND kind = 'purge'",
                "jobs_due",
            )?;
            by_index(
                conn,
                "SELECT lease_until AS at FROM jobs WHERE state = 'running'",
                "jobs_by_state",
            )?;
            by_index(
                conn,
                "SELECT * FROM jobs WHERE state = 'dead' ORDER BY id DESC LIMIT 20",
                "jobs_by_state",
            )?;
            by_index(
                conn,
                "SELECT * FROM jobs WHERE kind = 'reconcile' ORDER BY id DESC LIMIT 20",
                "jobs_by_kind",
            )?;
            // The oldest come first, each once.
            let terms = Terms {
                owner: "t".into(),
                lease_ms: 30_000,
                max_attempts: 8,
            };
            let first = ops::lease(conn, now, &terms, 8, true)?;
            let keys: Vec<&str> = first.iter().map(|leased| leased.job.key.as_str()).collect();
            assert_eq!(
                keys,
                [
                    "k1000000", "k999999", "k999998", "k999997", "k999996", "k999995", "k999994", "k999993"
                ]
            );
            let summary = ops::summary(conn, now)?;
            assert_eq!((summary.states["ready"], summary.states["running"]), (QUEUED - 8, 8));
            Ok(())
        })
        .await
        .unwrap();
    });
}
