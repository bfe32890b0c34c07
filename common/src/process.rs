//! A process of the platform, from its configuration to its exit code: the same for `sluice` and for each service's own
//! executable.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::rt::System;

use crate::config::{Config, Loaded, Sources};
use crate::data_dir;
use crate::drain::Drain;
use crate::reload::Reloader;
use crate::service::{self, Platform, Service, Sockets, StartError};

/// A bound and connected process, before its services start.
pub struct Process {
    pub config: Config,
    pub platform: Platform,
    sockets: Sockets,
    public: SocketAddr,
    internal: SocketAddr,
}

/// What of the platform is in a process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Everything: internal calls go to its own internal listener.
    All,
    /// One service, which an edge on the same machine may reach by a Unix socket.
    Service,
    Edge,
}

impl Process {
    /// Binds the listeners.
    async fn new(mut config: Config, drain: Drain, part: Part) -> Result<Self, StartError> {
        let sockets = match part {
            Part::Service => Sockets::bind_near(&config)?,
            Part::All | Part::Edge => Sockets::bind(&config)?,
        };
        let (public, internal) = sockets.addresses().map_err(other)?;
        if part == Part::All {
            let own = vec![format!("http://{internal}")];
            config.internal.api.clone_from(&own);
            config.internal.stream.clone_from(&own);
            config.internal.scheduler = own;
            // The gateway's functions call the API as people do.
            config.proxy.api = vec![format!("http://{}", reachable(public))];
        }
        let platform = Platform::open(&config, drain).await?;
        Ok(Process {
            config,
            platform,
            sockets,
            public,
            internal,
        })
    }

    /// Tells where it is and serves until the drain is over.
    pub async fn serve(
        self,
        name: &str,
        services: Vec<Service>,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<(), StartError> {
        // The one line on standard output: programs wait for it, people click on it.
        println!("{name} is ready on http://{}", openable(self.public));
        log::info!(public = self.public.to_string(), internal = self.internal.to_string(); "{name} is ready");
        service::run(&self.config, &self.platform, self.sockets, services, headers)
            .await
            .map_err(other)?;
        log::info!("Stopped");
        Ok(())
    }
}

/// Runs every service in this process: makes the data folder and the secrets, locks the folder.
pub fn run_all<F>(loaded: Loaded, start: F) -> Result<(), StartError>
where
    F: AsyncFnOnce(Process) -> Result<(), StartError>,
{
    let mut config = loaded.config.clone();
    data_dir::create(&config)?;
    let _locks = data_dir::lock(&config, &["api", "stream", "scheduler"])?;
    data_dir::secrets(&mut config, true)?;
    in_system(config, loaded, Part::All, start)
}

/// Runs the one service `name` in this process. `owns_tables` is false for the edge, which needs no data folder.
pub fn run_one<F>(loaded: Loaded, name: &str, owns_tables: bool, start: F) -> Result<(), StartError>
where
    F: AsyncFnOnce(Process) -> Result<(), StartError>,
{
    let mut config = loaded.config.clone();
    let (part, _locks) = if owns_tables {
        data_dir::create(&config)?;
        (Part::Service, Some(data_dir::lock(&config, &[name])?))
    } else {
        (Part::Edge, None)
    };
    data_dir::secrets(&mut config, false)?;
    in_system(config, loaded, part, start)
}

/// `main` of a service's own executable: configuration from `SLUICE_CONFIG` and the environment.
pub fn main<F>(run: F) -> ExitCode
where
    F: FnOnce(Loaded) -> Result<(), StartError>,
{
    let file = std::env::var_os("SLUICE_CONFIG").map(Into::into);
    let loaded = Loaded::read(Sources::from_env(file));
    exit_code(loaded.map_err(StartError::from).and_then(run))
}

/// One line for a person on standard error, and 2 for what they must mend.
pub fn exit_code(result: Result<(), StartError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // libpq and others write several lines.
            let lines: Vec<String> = error.to_string().lines().map(|line| line.trim().to_owned()).collect();
            eprintln!("sluice: {}", lines.join(" "));
            ExitCode::from(error.exit_code())
        }
    }
}

/// `config` is the loaded one with what was added to it since.
fn in_system<F>(config: Config, loaded: Loaded, part: Part, start: F) -> Result<(), StartError>
where
    F: AsyncFnOnce(Process) -> Result<(), StartError>,
{
    crate::logging::init(&config.log)?;
    raise_file_limit();
    System::new().block_on(async {
        let drain = Drain::new();
        drain.on_signals(config.server.drain_delay.0).map_err(other)?;
        let process = Process::new(config, drain, part).await?;
        Reloader::new(loaded, process.platform.live.clone())
            .on_signal()
            .map_err(other)?;
        start(process).await
    })
}

fn other(error: impl std::fmt::Display) -> StartError {
    StartError::Other(error.to_string())
}

/// The address by which this process reaches its own listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// What a person can open for an address that may mean "all interfaces".
fn openable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

/// Each connection is a file; the soft limit of most shells is 1,024.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    ) {
        log::warn!("The limit of open files stays at {:?}: {error}", limit.current);
    }
}
