//! One table on both sides: its columns, read from the databases themselves, and the statements that follow from them.

use super::sum::Sum;
use super::{Count, TransferError};
use crate::db::{AnyConn, Backend};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::Value as Json;

/// What a column holds, the same on both kinds of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Bool,
    Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    kind: Kind,
    /// Its place in the primary key, from 1; 0 is none.
    key: i64,
}

/// A table as both sides have it.
pub(super) struct TableShape {
    name: &'static str,
    /// In the order of their names.
    columns: Vec<Column>,
    /// Places in `columns` of the primary key, in its order.
    key: Vec<usize>,
}

/// Rows as JSON lists in the order of the columns, bytes in hexadecimal and truth as 0 and 1.
pub(super) type Rows = Vec<Vec<Json>>;

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    place: i64,
}

#[derive(QueryableByName)]
struct RowText {
    #[diesel(sql_type = Text)]
    row_text: String,
}

impl TableShape {
    /// The shape that both have; an error when they differ.
    pub fn of_both(from: &mut AnyConn, to: &mut AnyConn, name: &'static str) -> Result<Self, TransferError> {
        let columns = columns(from, name)?;
        if columns != self::columns(to, name)? {
            let says = format!("table {name} has other columns in the target than in the source");
            return Err(TransferError::Refused(says));
        }
        let mut key: Vec<usize> = (0..columns.len()).filter(|place| columns[*place].key > 0).collect();
        key.sort_by_key(|place| columns[*place].key);
        if key.is_empty() {
            return Err(TransferError::Refused(format!("table {name} has no primary key")));
        }
        Ok(TableShape { name, columns, key })
    }

    /// The rows after `after`, in the order of the primary key.
    pub fn page(&self, conn: &mut AnyConn, after: &str, limit: i64) -> QueryResult<Rows> {
        let backend = conn.backend();
        let read: Vec<String> = self.columns.iter().map(|column| column.read(backend)).collect();
        let list = match backend {
            Backend::Sqlite => format!("json_array({})", read.join(", ")),
            Backend::Postgres => format!("CAST(json_build_array({}) AS TEXT)", read.join(", ")),
        };
        let key = |place: &usize| self.columns[*place].quoted();
        let keys = self.key.iter().map(key).collect::<Vec<_>>().join(", ");
        let given = |(at, place): (usize, &usize)| self.columns[*place].written(backend, "$1", at);
        let given = self.key.iter().enumerate().map(given).collect::<Vec<_>>().join(", ");
        let (name, begun) = (self.name, after != "[]");
        let beyond = if begun {
            format!("({keys}) > ({given})")
        } else {
            "$1 = '[]'".to_owned()
        };
        let text = format!("SELECT {list} AS row_text FROM \"{name}\" WHERE {beyond} ORDER BY {keys} LIMIT {limit}");
        let rows = diesel::sql_query(text).bind::<Text, _>(after).load::<RowText>(conn)?;
        rows.into_iter()
            .map(|row| serde_json::from_str(&row.row_text).map_err(|error| unreadable(self.name, &error)))
            .collect()
    }

    /// Where to read on after this page; `None` when it was the last one.
    pub fn place_after(&self, page: &Rows, limit: i64) -> Option<String> {
        let last = page.last().filter(|_| page.len() as i64 == limit)?;
        let key: Vec<&Json> = self.key.iter().map(|place| &last[*place]).collect();
        Some(serde_json::to_string(&key).expect("a list of plain values"))
    }

    pub fn insert(&self, conn: &mut AnyConn, rows: &Rows) -> QueryResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let backend = conn.backend();
        let name = self.name;
        let names = self.columns.iter().map(Column::quoted).collect::<Vec<_>>().join(", ");
        let from = |row: &str| {
            let value = |(at, column): (usize, &Column)| column.written(backend, row, at);
            self.columns
                .iter()
                .enumerate()
                .map(value)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let text = match backend {
            Backend::Sqlite => format!(
                "INSERT INTO \"{name}\" ({names}) SELECT {} FROM json_each($1)",
                from("value")
            ),
            // Numbers that the database would give itself are taken as they are.
            Backend::Postgres => format!(
                "INSERT INTO \"{name}\" ({names}) OVERRIDING SYSTEM VALUE SELECT {} FROM json_array_elements(CAST($1 AS JSON)) AS r",
                from("r")
            ),
        };
        let rows = serde_json::to_string(rows).expect("rows are plain values");
        diesel::sql_query(text).bind::<Text, _>(rows).execute(conn).map(drop)
    }

    /// Everything that is in the table.
    pub fn sum(&self, conn: &mut AnyConn, limit: i64) -> QueryResult<Sum> {
        let mut sum = Sum::default();
        let mut after = Some("[]".to_owned());
        while let Some(place) = after {
            let page = self.page(conn, &place, limit)?;
            for row in &page {
                sum.add(&serde_json::to_string(row).expect("a row is plain values"));
            }
            after = self.place_after(&page, limit);
        }
        Ok(sum)
    }

    /// The column whose numbers the database gives: a single key of numbers.
    fn numbered(&self) -> Option<&Column> {
        match self.key.as_slice() {
            [place] if self.columns[*place].kind == Kind::Integer => Some(&self.columns[*place]),
            _ => None,
        }
    }

    /// The newest number that was given; numbers of rows that are gone are not given again. 0: none, or not numbered.
    pub fn sequence(&self, conn: &mut AnyConn) -> QueryResult<i64> {
        let (name, Some(column)) = (self.name, self.numbered()) else {
            return Ok(0);
        };
        let text = match conn.backend() {
            Backend::Sqlite => format!("SELECT COALESCE(MAX(seq), 0) AS n FROM sqlite_sequence WHERE name = '{name}'"),
            Backend::Postgres => format!(
                "SELECT COALESCE(pg_sequence_last_value(CAST(pg_get_serial_sequence('{name}', '{}') AS REGCLASS)), 0) AS n",
                column.name
            ),
        };
        Ok(diesel::sql_query(text).get_result::<Count>(conn)?.n)
    }

    pub fn set_sequence(&self, conn: &mut AnyConn, last: i64) -> QueryResult<()> {
        let (name, Some(column)) = (self.name, self.numbered()) else {
            return Ok(());
        };
        if last <= 0 {
            return Ok(());
        }
        let text = match conn.backend() {
            // An insert of rows has made the entry; without rows there is none yet.
            Backend::Sqlite => format!(
                "DELETE FROM sqlite_sequence WHERE name = '{name}'; INSERT INTO sqlite_sequence (name, seq) VALUES ('{name}', {last})"
            ),
            Backend::Postgres => {
                format!(
                    "SELECT setval(pg_get_serial_sequence('{name}', '{}'), {last})",
                    column.name
                )
            }
        };
        super::run(conn, &text)
    }
}

impl Column {
    fn quoted(&self) -> String {
        format!("\"{}\"", self.name)
    }

    /// As a member of the row's list.
    fn read(&self, backend: Backend) -> String {
        let name = self.quoted();
        match (self.kind, backend) {
            (Kind::Bytes, Backend::Sqlite) => format!("CASE WHEN {name} IS NOT NULL THEN lower(hex({name})) END"),
            (Kind::Bytes, Backend::Postgres) => format!("encode({name}, 'hex')"),
            (Kind::Bool, Backend::Postgres) => format!("CASE WHEN {name} THEN 1 WHEN NOT {name} THEN 0 END"),
            _ => name,
        }
    }

    /// Member `at` of the JSON list `row` as a value of this column.
    fn written(&self, backend: Backend, row: &str, at: usize) -> String {
        match backend {
            Backend::Sqlite => {
                let value = format!("json_extract({row}, '$[{at}]')");
                if self.kind == Kind::Bytes {
                    format!("unhex({value})")
                } else {
                    value
                }
            }
            Backend::Postgres => {
                let value = format!("(CAST({row} AS JSON) ->> {at})");
                match self.kind {
                    Kind::Text => value,
                    Kind::Integer => format!("CAST({value} AS BIGINT)"),
                    Kind::Bool => format!("({value} = '1')"),
                    Kind::Bytes => format!("decode({value}, 'hex')"),
                }
            }
        }
    }
}

fn columns(conn: &mut AnyConn, table: &str) -> Result<Vec<Column>, TransferError> {
    let text = match conn.backend() {
        Backend::Sqlite => format!(
            "SELECT name, upper(type) AS kind, CAST(pk AS BIGINT) AS place FROM pragma_table_info('{table}') ORDER BY name"
        ),
        Backend::Postgres => format!(
            "SELECT CAST(a.attname AS TEXT) AS name, upper(format_type(a.atttypid, NULL)) AS kind, \
             CAST(COALESCE((SELECT k.n FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, n) \
             WHERE i.indrelid = a.attrelid AND i.indisprimary AND k.attnum = a.attnum), 0) AS BIGINT) AS place \
             FROM pg_attribute a WHERE a.attrelid = to_regclass('\"{table}\"') AND a.attnum > 0 AND NOT a.attisdropped \
             ORDER BY CAST(a.attname AS TEXT) COLLATE \"C\""
        ),
    };
    let rows = diesel::sql_query(text).load::<ColumnRow>(conn)?;
    rows.into_iter()
        .map(|row| {
            let kind = match row.kind.as_str() {
                "TEXT" => Kind::Text,
                "BIGINT" | "INTEGER" => Kind::Integer,
                "BOOLEAN" => Kind::Bool,
                "BLOB" | "BYTEA" => Kind::Bytes,
                other => {
                    let says = format!(
                        "table {table}: column {} has the type {other}, which is not moved",
                        row.name
                    );
                    return Err(TransferError::Refused(says));
                }
            };
            Ok(Column {
                name: row.name,
                kind,
                key: row.place,
            })
        })
        .collect()
}

fn unreadable(table: &str, error: &serde_json::Error) -> diesel::result::Error {
    let text = format!("a row of {table} can't be read: {error}");
    diesel::result::Error::DeserializationError(text.into())
}
