//! An S3 server for tests, the bench and a first try of the scaled way: s3s speaks the protocol (signatures, XML, streamed
//! checksums), objects are files in a folder. Not for production: nothing is synced, and lists are read whole.
//!
//! Why not s3s-fs, the file store that comes with s3s: of 0.14 it has no ListMultipartUploads; ListParts knows no ETags and no
//! unknown uploads; CompleteMultipartUpload looks at neither ETags nor checksums and wants numbers without gaps; UploadPart
//! ignores its checksum; GetObject ignores If-Match; PutObject makes buckets that are missing. Here they are as Amazon's.
//!
//! A test can have requests fail in the ways of real stores and networks: [`Server::fail`].

mod faults;
mod files;
mod multipart;
mod objects;
mod serve;
mod tls;

pub use faults::{Effect, Fault};

use faults::Faults;
use files::Files;
use s3s::{
    S3Result,
    auth::{S3Auth, SecretKey},
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Mutex, PoisonError},
};
use tokio::{runtime::Runtime, sync::watch};

/// What [`Server::start`] makes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Made if missing; `None` is a folder that goes with the server.
    pub folder: Option<PathBuf>,
    pub access_key: String,
    pub secret_key: String,
    /// Made if missing.
    pub buckets: Vec<String>,
    /// TLS with a certificate of its own: [`Server::authority`] is to be trusted.
    pub https: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            folder: None,
            access_key: "sluice".into(),
            secret_key: "a-secret-key-for-tests".into(),
            buckets: vec!["media".into()],
            https: false,
        }
    }
}

/// A server on threads of its own, until it is dropped.
pub struct Server {
    pub options: Options,
    address: SocketAddr,
    faults: Faults,
    /// Dropped to stop: the listener and its connections end then.
    up: Mutex<Option<watch::Sender<()>>>,
    service: S3Service,
    tls: Option<tls::Tls>,
    folder: PathBuf,
    _temporary: Option<tempfile::TempDir>,
    runtime: Option<Runtime>,
}

impl Server {
    /// With everything as [`Options::default`] has it: one bucket, `media`.
    pub fn spawn() -> io::Result<Self> {
        Self::start(Options::default())
    }

    pub fn start(options: Options) -> io::Result<Self> {
        let temporary = match options.folder {
            None => Some(tempfile::tempdir()?),
            Some(_) => None,
        };
        let given = options.folder.as_deref().or(temporary.as_ref().map(|dir| dir.path()));
        let folder = given.unwrap_or(Path::new(".")).to_owned();
        let files = Files::open(&folder, &options.buckets)?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(Key {
            access: options.access_key.clone(),
            secret: options.secret_key.clone().into(),
        });
        let service = builder.build();
        let tls = match options.https {
            true => Some(tls::Tls::new()?),
            false => None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("s3-server")
            .enable_all()
            .build()?;
        let listener = serve::bind(options.listen)?;
        let server = Self {
            address: listener.local_addr()?,
            options,
            faults: Faults::default(),
            up: Mutex::default(),
            service,
            tls,
            folder,
            _temporary: temporary,
            runtime: Some(runtime),
        };
        server.serve(listener);
        Ok(server)
    }

    fn serve(&self, listener: std::net::TcpListener) {
        let served = serve::Served {
            service: self.service.clone(),
            faults: self.faults.clone(),
            tls: self.tls.clone(),
        };
        let (up, still_up) = watch::channel(());
        *self.up.lock().unwrap_or_else(PoisonError::into_inner) = Some(up);
        if let Some(runtime) = &self.runtime {
            runtime.spawn(serve::run(listener, served, still_up));
        }
    }

    /// `http://127.0.0.1:PORT`; with TLS `https://localhost:PORT`.
    pub fn endpoint(&self) -> String {
        match self.tls {
            Some(_) => format!("https://localhost:{}", self.address.port()),
            None => format!("http://{}", self.address),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate authority in PEM, with TLS.
    pub fn authority(&self) -> Option<&str> {
        self.tls.as_ref().map(tls::Tls::authority)
    }

    /// Where its files are: `BUCKET/KEY`, escaped, and what is unfinished below `.uploads`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Has requests fail from now on.
    pub fn fail(&self, fault: Fault) {
        self.faults.add(fault);
    }

    /// No request fails any more.
    pub fn heal(&self) {
        self.faults.clear();
    }

    /// Every request since the start or the last call, such as `GET /media/ab/cd?partNumber=1`, without its signature. At most the
    /// last ten thousand.
    pub fn requests(&self) -> Vec<String> {
        self.faults.take_requests()
    }

    /// Connections taken since the start.
    pub fn connections(&self) -> usize {
        self.faults.accepted()
    }

    /// Answers that stall (by [`Effect::Stall`]) and are waited for.
    pub fn stalled(&self) -> usize {
        self.faults.stalled()
    }

    /// Serves until SIGTERM or Ctrl-C.
    pub fn wait(mut self) -> ExitCode {
        let Some(runtime) = self.runtime.take() else {
            return ExitCode::SUCCESS;
        };
        let ended = runtime.block_on(async {
            let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            tokio::select! {
                _ = term.recv() => Ok(()),
                interrupted = tokio::signal::ctrl_c() => interrupted,
            }
        });
        runtime.shutdown_background();
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }

    /// Closes the listener and every connection: who connects is refused.
    pub fn stop(&self) {
        self.up.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Listens again, where it did. Blocks for at most 5 s, while the address is not free yet.
    pub fn start_again(&self) -> io::Result<()> {
        let listener = serve::bind_soon(self.address)?;
        self.serve(listener);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Key {
    access: String,
    secret: SecretKey,
}

#[async_trait::async_trait]
impl S3Auth for Key {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match access_key == self.access {
            true => Ok(self.secret.clone()),
            false => Err(s3_error!(InvalidAccessKeyId, "The access key does not exist.")),
        }
    }
}
