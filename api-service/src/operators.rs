//! The way to the first operator: from the command line, or from the configuration at the first start.

use std::fmt;

use common::config::{Config, ConfigError, Secret};
use common::db::Db;
use common::error::ApiError;
use common::ids::Id;
use common::messages::Role;
use common::service::StartError;

use crate::ops::accounts::{self, NewUser};
use crate::{database, passwords, rules};

/// What became of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Created(String),
    Promoted(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Created(name) => write!(f, "Created the operator {name}."),
            Outcome::Promoted(name) => write!(
                f,
                "The account {name} is an operator now, with this password; its sessions have ended."
            ),
        }
    }
}

/// `sluice admin create`: makes an operator, or makes an existing account one, with this password. Blocks; opens and
/// migrates the database by itself and needs no running service. A running one learns of it within 5 s.
pub fn create_operator(config: &Config, username: &str, password: &Secret) -> Result<Outcome, StartError> {
    check("username", rules::username(username).map(drop))?;
    check("password", rules::password(password))?;
    let db = database::open(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| StartError::Other(error.to_string()))?;
    let hash = passwords::hash(password).map_err(other)?;
    runtime.block_on(make(&db, username, hash)).map_err(other)
}

/// At start: when the configuration has a password and there is no operator yet.
pub(crate) async fn first_operator(config: &Config, db: &Db) -> Result<(), StartError> {
    let (username, password) = (&config.secrets.admin_username, &config.secrets.admin_password);
    if password.is_empty() {
        return Ok(());
    }
    if has_operator(db).await? {
        return Ok(());
    }
    check("secrets.admin_username", rules::username(username).map(drop))?;
    check("secrets.admin_password", rules::password(password))?;
    let hashed = password.clone();
    let hash = tokio::task::spawn_blocking(move || passwords::hash(&hashed)).await;
    let hash = hash
        .map_err(|error| StartError::Other(error.to_string()))?
        .map_err(other)?;
    match make(db, username, hash).await {
        Ok(outcome) => log::info!("{outcome}"),
        // Another copy that started at the same moment was faster.
        Err(_) if has_operator(db).await? => {}
        Err(error) => return Err(other(error)),
    }
    Ok(())
}

async fn has_operator(db: &Db) -> Result<bool, StartError> {
    let there = db.read(|conn| Ok::<_, ApiError>(accounts::has_operator(conn)?)).await;
    there.map_err(other)
}

async fn make(db: &Db, username: &str, hash: Secret) -> Result<Outcome, ApiError> {
    let name = username.to_owned();
    db.write(move |conn| {
        if accounts::promote(conn, &name, &hash)?.is_some() {
            return Ok(Outcome::Promoted(name));
        }
        let user = NewUser {
            id: Id::now(),
            username: name.clone(),
            display_name: name.clone(),
            password_hash: hash,
            role: Role::Operator,
        };
        accounts::insert(conn, &user)?;
        Ok(Outcome::Created(name))
    })
    .await
}

fn check(key: &str, outcome: Result<(), String>) -> Result<(), ConfigError> {
    outcome.map_err(|problem| ConfigError::new(key, problem))
}

fn other(error: ApiError) -> StartError {
    StartError::Other(error.to_string())
}
