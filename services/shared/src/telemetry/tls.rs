//! Certificates for OTLP over TLS, as the variables of the specification name them, which the SDK does not read.

use std::{fs, thread, time::Duration};

use opentelemetry_otlp::{
    ExporterBuildError,
    tonic_types::transport::{Certificate, ClientTlsConfig, Identity},
};
use reqwest::blocking::Client;

/// Files (PEM) of one signal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TlsFiles {
    /// Whom to trust, in place of the system's authorities.
    pub(super) authority: Option<String>,
    /// Certificate and key to show to a collector that asks for them.
    pub(super) client: Option<(String, String)>,
}

impl TlsFiles {
    /// For gRPC, which without this trusts nobody.
    pub(super) fn of_grpc(&self) -> Result<ClientTlsConfig, ExporterBuildError> {
        let mut tls = match &self.authority {
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((certificate, key)) = &self.client {
            tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        Ok(tls)
    }

    /// For HTTP; `None` when the SDK's own client does.
    pub(super) fn http_client(&self, timeout: Duration) -> Result<Option<Client>, ExporterBuildError> {
        if *self == Self::default() {
            return Ok(None);
        }
        let mut client = Client::builder().timeout(timeout);
        if let Some(path) = &self.authority {
            let authorities =
                reqwest::Certificate::from_pem_bundle(&read(path)?).map_err(|error| invalid(path, &error))?;
            client = client.tls_certs_only(authorities);
        }
        if let Some((certificate, key)) = &self.client {
            let both = [read(certificate)?, read(key)?].join(&b'\n');
            client = client.identity(reqwest::Identity::from_pem(&both).map_err(|error| invalid(certificate, &error))?);
        }
        // It has a runtime of its own, which must not be made within another.
        let built = thread::spawn(move || client.build()).join();
        let built = built.map_err(|_| ExporterBuildError::InternalFailure("the HTTP client panicked".to_owned()))?;
        built.map(Some).map_err(|error| ExporterBuildError::InternalFailure(error.to_string()))
    }
}

fn read(path: &str) -> Result<Vec<u8>, ExporterBuildError> {
    fs::read(path).map_err(|error| invalid(path, &error))
}

fn invalid(path: &str, error: &dyn std::error::Error) -> ExporterBuildError {
    ExporterBuildError::InvalidConfiguration(format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let absent = TlsFiles { authority: Some("/absent/ca.pem".to_owned()), client: None };
        let certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").to_owned();
        let client = Some((certificate, "/absent/client.key".to_owned()));
        let keyless = TlsFiles { authority: None, client };
        for (files, named) in [(absent, "/absent/ca.pem"), (keyless, "/absent/client.key")] {
            let (http, grpc) = (files.http_client(Duration::from_secs(1)).err(), files.of_grpc().err());
            for refused in [http, grpc] {
                assert!(refused.as_ref().is_some_and(|refused| refused.to_string().contains(named)), "{refused:?}");
            }
        }
    }
}
