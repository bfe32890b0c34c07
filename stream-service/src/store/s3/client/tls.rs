//! Whom the client trusts at an `https` endpoint.

use super::settings::{Settings, SettingsError};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{path::Path, sync::Arc};

/// TLS with the system's certificate authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` count) and those of `store.ca_file`.
pub fn tls(settings: &Settings) -> Result<ClientConfig, SettingsError> {
    let mut roots = RootCertStore::empty();
    if settings.endpoint.scheme() == "https" {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if let Some(file) = &settings.ca_file {
            roots.add_parsable_certificates(authorities(file)?);
        }
        if roots.is_empty() {
            let problem = "https needs certificate authorities and this system has none; install ca-certificates or set store.ca_file";
            return Err(SettingsError::new("store.endpoint", problem));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SettingsError::new("store.endpoint", error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let failed =
        |error: &dyn std::fmt::Display| SettingsError::new("store.ca_file", format!("{}: {error}", file.display()));
    let read = CertificateDer::pem_file_iter(file).map_err(|error| failed(&error))?;
    let found: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| failed(&error))?;
    if found.is_empty() {
        return Err(failed(&"holds no certificate"));
    }
    Ok(found)
}
