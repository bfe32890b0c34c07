//! `sluice`: every service of the platform in one executable. It has no rule of its own: it reads the configuration,
//! starts the services it was asked for and tells people where they are.

mod admin;
mod backup;
mod cli;
mod doctor;
mod healthcheck;
mod migrate;
mod moving;
mod serve;

use std::process::ExitCode;

use clap::Parser;
use common::process::exit_code;
use common::service::StartError;

use cli::{AdminCommand, Cli, Command, ConfigArgs};

fn main() -> ExitCode {
    exit_code(execute(Cli::parse()))
}

fn execute(cli: Cli) -> Result<(), StartError> {
    match cli.command {
        Command::Serve(args) => serve::embedded(args.loaded()?),
        Command::Api(args) => serve::role(args.loaded()?, serve::Role::Api),
        Command::Stream(args) => serve::role(args.loaded()?, serve::Role::Stream),
        Command::Scheduler(args) => serve::role(args.loaded()?, serve::Role::Scheduler),
        Command::Proxy(args) => serve::role(args.loaded()?, serve::Role::Proxy),
        Command::Migrate(args) => migrate::all(&args.config()?),
        Command::CheckConfig { config, print } => check_config(&config, print),
        Command::DefaultConfig => {
            print!("{}", common::config::Config::example());
            Ok(())
        }
        Command::Doctor { config, url, json } => doctor::examine(&config, &doctor::Asked { url, json }),
        Command::Healthcheck { config, url } => healthcheck::ask(&config.config()?, url),
        Command::Backup { config, to, copy } => backup::backup(&config.config()?, &to, copy),
        Command::Restore { config, from } => backup::restore(&config.config()?, &from),
        Command::Move(args) => moving::execute(&args),
        Command::Admin(AdminCommand::Create {
            config,
            username,
            password_file,
        }) => admin::create(&config.config()?, &username, password_file.as_deref()),
    }
}

fn check_config(args: &ConfigArgs, print: bool) -> Result<(), StartError> {
    let config = args.config()?;
    migrate::check_urls(&config)?;
    if print {
        print!("{}", config.redacted());
    }
    eprintln!("The configuration is fine.");
    Ok(())
}
