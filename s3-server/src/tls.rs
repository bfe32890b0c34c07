//! A certificate for `localhost`, made at the start.

use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use std::{io, sync::Arc};
use tokio_rustls::TlsAcceptor;

#[derive(Clone)]
pub struct Tls {
    pub acceptor: TlsAcceptor,
    authority: Arc<str>,
}

impl Tls {
    pub fn new() -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let names = vec!["localhost".to_owned()];
        let params = CertificateParams::new(names).map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .map_err(io::Error::other)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            authority: certificate.pem().into(),
        })
    }

    pub fn authority(&self) -> &str {
        &self.authority
    }
}
