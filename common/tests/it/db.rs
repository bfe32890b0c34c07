//! The pools, transactions and errors of common::db, each on SQLite and on PostgreSQL.

#[path = "db_migrate.rs"]
mod db_migrate;
#[path = "db_pool.rs"]
mod db_pool;
#[path = "db_statements.rs"]
mod db_statements;

use common::db::{DbError, Migrations};
use diesel_migrations::embed_migrations;

pub static MIGRATIONS: Migrations = Migrations {
    sqlite: embed_migrations!("tests/migrations/sqlite"),
    postgres: embed_migrations!("tests/migrations/postgres"),
};

diesel::table! {
    things (id) {
        id -> Text,
        name -> Text,
        note -> Nullable<Text>,
        size -> BigInt,
        live -> Bool,
        score -> Nullable<Double>,
        hash -> Nullable<Binary>,
        parent -> Nullable<Text>,
    }
}

pub type Result<T> = std::result::Result<T, DbError>;
