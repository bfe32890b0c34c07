//! TLS for the doctor's own requests; the services speak none. The system's certificate authorities are trusted
//! (`SSL_CERT_FILE` and `SSL_CERT_DIR` count), as browsers would.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::probe::Stream;

/// `tcp` itself, or TLS over it. The handshake happens with the first bytes.
pub fn wrap(https: bool, host: &str, tcp: TcpStream) -> io::Result<Box<dyn Stream>> {
    if !https {
        return Ok(Box::new(tcp));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let says = "this system has no certificate authorities; install ca-certificates";
        return Err(io::Error::other(says));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let client = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(Box::new(StreamOwned::new(client, tcp)))
}
