//! The pools, transactions and errors of common::db, each on SQLite and on PostgreSQL.

mod faults;
mod migrate;
mod pool;
mod statements;
mod told;
mod transfer;

use common::db::{Db, DbError, Migrations};
use diesel::prelude::*;
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

pub async fn insert(db: &Db, key: &str) -> Result<usize> {
    let key = key.to_owned();
    db.write(move |conn| {
        Ok(diesel::insert_into(things::table)
            .values((things::id.eq(&key), things::name.eq(&key)))
            .execute(conn)?)
    })
    .await
}

pub async fn ids(db: &Db) -> Vec<String> {
    db.read(|conn| -> Result<_> { Ok(things::table.order(things::id).select(things::id).load(conn)?) })
        .await
        .unwrap()
}
