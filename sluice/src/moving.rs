//! `sluice move`: all three databases and the media from one place to another, of the same or the other kind. It may be interrupted
//! at any moment and run again; the source is only read.

use std::path::{Path, PathBuf};

use clap::Args;
use common::config::{Config, ConfigError};
use common::data_dir;
use common::db::DatabaseUrl;
use common::db::transfer::{Begun, Transfer, TransferError};
use common::service::StartError;
use stream_service::transfer as media;

use crate::cli::ConfigArgs;
use crate::migrate::DATABASES;

/// Where from and where to. What is not said is what the configuration says: it is that of the target.
#[derive(Args)]
pub struct MoveArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Folder of the embedded way: its three databases and its media
    #[arg(
        long,
        value_name = "FOLDER",
        conflicts_with = "from",
        required_unless_present = "from"
    )]
    pub from_data_dir: Option<PathBuf>,
    /// Databases: sqlite:FOLDER (with api.db, stream.db, scheduler.db) or postgres://… (with the schemas api, stream, scheduler)
    #[arg(long, value_name = "URL", requires = "store")]
    pub from: Option<String>,
    /// The same, for the target (default: database.* of the configuration)
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// Media from one store to another (default: the folder's, and store.url of the configuration)
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"])]
    pub store: Option<Vec<String>>,
    /// Remove what an interrupted move has copied, and begin anew
    #[arg(long)]
    pub start_over: bool,
}

/// Both sides, as configurations.
struct Sides {
    from: Config,
    to: Config,
}

pub fn execute(args: &MoveArgs) -> Result<(), StartError> {
    let sides = sides(args)?;
    // Services on SQLite hold these; those on PostgreSQL are looked for by the transfer.
    let services = DATABASES.map(|(service, ..)| service);
    let _source = data_dir::lock(&sides.from, &services)?;
    if services
        .iter()
        .any(|service| sides.to.database_url(service).starts_with("sqlite:"))
    {
        data_dir::create(&sides.to)?;
    }
    let _target = data_dir::lock(&sides.to, &services)?;
    let mut transfers = Vec::new();
    for (service, migrations, tables) in DATABASES {
        let (from, to) = (url(&sides.from, service)?, url(&sides.to, service)?);
        println!("{service}: {from} -> {to}");
        let begun = Transfer::begin(&from, &to, migrations, tables, args.start_over);
        transfers.push((service, begun.map_err(|error| failed(service, error))?));
    }
    if transfers.iter().all(|(_, (_, begun))| *begun == Begun::Finished) {
        println!("This move came to its end before; nothing is left to do.");
        return Ok(());
    }
    for (service, (transfer, begun)) in &mut transfers {
        if *begun == Begun::Finished {
            continue;
        }
        copy(service, transfer)?;
        if *service == "stream" {
            copy_media(transfer, &sides)?;
        }
        for (table, sum) in transfer.verify().map_err(|error| failed(service, error))? {
            println!("{service}: {table}: the same on both sides: {sum}");
        }
    }
    for (service, (transfer, begun)) in &mut transfers {
        if *begun != Begun::Finished {
            finish(service, transfer)?;
        }
    }
    tell_the_rest(&sides);
    Ok(())
}

fn copy(service: &str, transfer: &mut Transfer) -> Result<(), StartError> {
    let mut lines: Vec<(String, u64)> = Vec::new();
    let copied = transfer.copy(&mut |table, rows| match lines.last_mut() {
        Some((last, so_far)) if last == table => *so_far = rows,
        _ => lines.push((table.to_owned(), rows)),
    });
    for (table, rows) in lines {
        println!("{service}: {table}: {rows} rows copied");
    }
    copied.map_err(|error| failed(service, error))
}

fn copy_media(transfer: &mut Transfer, sides: &Sides) -> Result<(), StartError> {
    let (from, to) = (sides.from.store_url(), sides.to.store_url());
    println!("media: {from} -> {to}");
    if place_of(&sides.from) == place_of(&sides.to) {
        return Err(ConfigError::new("--store", "source and target are the same").into());
    }
    let source = media::open_source(&sides.from)?;
    let target = media::open_target(&sides.to)?;
    let mut next = TELL_EVERY;
    let moved = media::copy_media(transfer, &source, &target, &mut |so_far| {
        if so_far.objects >= next {
            println!("media: {} objects, {} bytes so far", so_far.objects, so_far.bytes);
            next += TELL_EVERY;
        }
    });
    let moved = moved.map_err(|error| failed("media", error))?;
    println!(
        "media: {} objects, {} bytes copied and read back",
        moved.objects, moved.bytes
    );
    if moved.damaged.is_empty() {
        return Ok(());
    }
    for damaged in &moved.damaged {
        println!("media: DAMAGED {damaged}");
    }
    Err(StartError::Other(format!(
        "{} objects are not what the ledger says: bring their files back from a backup, or delete these videos at the source and run \
         this again with --start-over; nothing was changed there",
        moved.damaged.len()
    )))
}

/// Where a store really is: the same folder or bucket may be written in several ways.
fn place_of(config: &Config) -> String {
    let url = config.store_url();
    match url.strip_prefix("file:") {
        Some(path) => std::fs::canonicalize(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string()),
        None => {
            let names: Vec<&str> = url.split('/').filter(|name| !name.is_empty()).collect();
            format!("{} {}", config.store.endpoint.trim_end_matches('/'), names.join("/"))
        }
    }
}

/// Objects between two lines of progress.
const TELL_EVERY: u64 = 100;

fn finish(service: &str, transfer: &mut Transfer) -> Result<(), StartError> {
    let ended = if service == "stream" {
        transfer.finish(media::end_uploads)
    } else {
        transfer.finish(|_| Ok(0))
    };
    let ended = ended.map_err(|error| failed(service, error))?;
    if ended > 0 {
        println!(
            "{service}: {ended} uploads were under way; their bytes are not moved: whoever sends them begins anew"
        );
    }
    Ok(())
}

fn tell_the_rest(sides: &Sides) {
    println!("Moved. Services may start on the target.");
    println!(
        "Don't start the source again: what is written there would be missing here. It is as it was; remove it when you are sure."
    );
    if sides.from.data_dir() != sides.to.data_dir() {
        println!(
            "Secrets are not moved: give the services the ones of {} (SLUICE_SECRETS__INTERNAL_TOKEN_FILE, \
             SLUICE_SECRETS__GRANT_KEYS_FILE), or links made before stop working.",
            sides.from.data_dir().join("secrets").display()
        );
    }
}

fn sides(args: &MoveArgs) -> Result<Sides, ConfigError> {
    let mut to = args.config.config()?;
    if let Some(url) = &args.to {
        place(&mut to, "--to", url)?;
    }
    let mut from = Config {
        // Keys of a store that both may need.
        store: to.store.clone(),
        ..Config::default()
    };
    from.store.url = String::new();
    match (&args.from_data_dir, &args.from) {
        (Some(folder), _) => {
            if !folder.is_dir() {
                let problem = format!("{} is not a folder", folder.display());
                return Err(ConfigError::new("--from-data-dir", problem));
            }
            from.server.data_dir = folder.display().to_string();
        }
        (None, Some(url)) => place(&mut from, "--from", url)?,
        (None, None) => return Err(ConfigError::new("--from", "is missing")),
    }
    if let Some([source, target]) = args.store.as_deref() {
        from.store.url.clone_from(source);
        to.store.url.clone_from(target);
    }
    Ok(Sides { from, to })
}

/// Three databases from one address: files of a folder, or schemas of a database.
fn place(config: &mut Config, flag: &str, url: &str) -> Result<(), ConfigError> {
    if let Some(folder) = url.strip_prefix("sqlite:") {
        if Path::new(folder).is_file() {
            let problem = format!("{folder} is a file: name the folder that holds api.db, stream.db and scheduler.db");
            return Err(ConfigError::new(flag, problem));
        }
        config.server.data_dir = folder.to_owned();
        for database in [
            &mut config.database.api,
            &mut config.database.stream,
            &mut config.database.scheduler,
        ] {
            *database = String::new().into();
        }
        return Ok(());
    }
    // The scheme is checked by the parser, service by service.
    let with_schema = |service: &str| {
        if url.contains("schema=") {
            return url.to_owned();
        }
        let sign = if url.contains('?') { '&' } else { '?' };
        format!("{url}{sign}schema={service}")
    };
    with_schema("api")
        .parse::<DatabaseUrl>()
        .map_err(|error| ConfigError::new(flag, error))?;
    config.database.api = with_schema("api").into();
    config.database.stream = with_schema("stream").into();
    config.database.scheduler = with_schema("scheduler").into();
    Ok(())
}

fn url(config: &Config, service: &str) -> Result<DatabaseUrl, ConfigError> {
    config
        .database_url(service)
        .parse()
        .map_err(|error| ConfigError::new(format!("database.{service}"), error))
}

/// What a person must mend is 2, what went wrong on the way 1.
fn failed(what: &str, error: TransferError) -> StartError {
    match error {
        TransferError::Refused(_) | TransferError::Migrate(_) => ConfigError::new(format!("move {what}"), error).into(),
        TransferError::Differs(_) | TransferError::Db(_) => StartError::Other(format!("move {what}: {error}")),
    }
}
