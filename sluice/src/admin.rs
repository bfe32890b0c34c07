//! `sluice admin create`: the way to the first operator.

use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;

use common::config::{Config, ConfigError, Secret};
use common::service::StartError;

/// A password line is at most 128 characters; this is many times that.
const MAX_LINE: u64 = 4096;

pub fn create(config: &Config, username: &str, password_file: Option<&Path>) -> Result<(), StartError> {
    common::data_dir::create(config)?;
    let password = read_password(password_file)?;
    let outcome = api_service::create_operator(config, username, &password)?;
    println!("{outcome}");
    Ok(())
}

fn read_password(file: Option<&Path>) -> Result<Secret, StartError> {
    let failed = |error: std::io::Error| ConfigError::new("--password-file", format!("can't be read: {error}"));
    let mut line = String::new();
    match file {
        Some(path) => {
            let file = std::fs::File::open(path).map_err(failed)?;
            std::io::BufReader::new(file.take(MAX_LINE))
                .read_line(&mut line)
                .map_err(failed)?;
        }
        None => {
            let input = std::io::stdin();
            if input.is_terminal() {
                eprintln!("Password for the operator (it is shown while you type; or use --password-file):");
            }
            input.lock().take(MAX_LINE).read_line(&mut line).map_err(failed)?;
        }
    }
    Ok(Secret::from(line.trim_end_matches(['\n', '\r'])))
}
