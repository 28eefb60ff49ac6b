//! TLS of all listeners: one certificate for the process, read from files and read again when those change.
//!
//! ```text
//! listener ─▶ place among the connections ─▶ handshake, within its time ─▶ the front-end, as without TLS
//! ```
//! Always true:
//! * TLS 1.2 or 1.3, never less;
//! * a handshake counts among its front-end's connections, so that those who never finish one are limited as all others;
//! * files that cannot be used stop the start, but not a server that runs: it goes on with what it has, and says so.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ferromq_model::Millis;
use parking_lot::RwLock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::config::{ClientAuth, TlsConfig};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
const CERTIFICATE: &str = "tls.server.certPath";
const KEY: &str = "tls.server.keyPath";
const TRUST: &str = "tls.server.trustCertPath";

/// Why TLS cannot be offered. All of it is the operator's to solve.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{key}: cannot read {}: {source}", path.display())]
    Read {
        /// The setting that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file has something else in it.
    #[error("{key}: {} has no {wanted} in PEM", path.display())]
    Missing {
        /// The setting that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What should be in it.
        wanted: &'static str,
    },
    /// A file is no PEM.
    #[error("{key}: {} is no PEM file: {why}", path.display())]
    Garbled {
        /// The setting that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// One setting needs another.
    #[error("{key} is set, and {needs} is not: set both, or neither")]
    Incomplete {
        /// The setting that is there.
        key: &'static str,
        /// The one that is not.
        needs: &'static str,
    },
    /// Two files do not belong together.
    #[error(
        "the key of tls.server.keyPath is not that of the first certificate in tls.server.certPath: the server's own \
         certificate has to come first there, and those of its authorities behind it"
    )]
    Mismatch,
    /// A certificate or key is of a kind that cannot be used.
    #[error("the certificate or key of tls.server.certPath and tls.server.keyPath cannot be used: {0}")]
    Unusable(rustls::Error),
    /// An authority cannot be used.
    #[error("tls.server.trustCertPath: {0}")]
    Authority(String),
}

/// Where a front-end is served: in the clear, encrypted, or both.
#[derive(Debug, Default)]
pub struct Doors {
    /// In the clear.
    pub plain: Option<TcpListener>,
    /// Encrypted.
    pub encrypted: Option<(TcpListener, Tls)>,
}

impl From<TcpListener> for Doors {
    fn from(plain: TcpListener) -> Self {
        Self { plain: Some(plain), encrypted: None }
    }
}

/// What clients are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// What `tls.server.need.client.auth` says.
    AsSet,
    /// A certificate if they have one: browsers have none.
    Never,
}

/// The process's TLS: a handle.
#[derive(Clone)]
pub struct Tls {
    shared: Arc<Shared>,
}

struct Shared {
    files: Files,
    handshake_limit: Millis,
    /// What the files looked like before they were first read.
    first: Looks,
    current: RwLock<Current>,
}

/// What shows that files changed: when each was written, and its length; `None` where that cannot be seen.
type Looks = Vec<Option<(SystemTime, u64)>>;

/// Where everything is read from.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// The authorities that sign clients' certificates, and whether clients must have one.
    clients: Option<(PathBuf, ClientAuth)>,
}

/// What was read last.
struct Current {
    as_set: Arc<ServerConfig>,
    never: Arc<ServerConfig>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.shared.files.certificate).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads what `config` names: `None` if that is no certificate. Blocking.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(config: &TlsConfig) -> Result<Option<Self>, TlsError> {
        let (certificate, key) = match (&config.certificate, &config.key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(TlsError::Incomplete { key: CERTIFICATE, needs: KEY }),
            (None, Some(_)) => return Err(TlsError::Incomplete { key: KEY, needs: CERTIFICATE }),
        };
        let clients = match (config.client_auth, &config.trust) {
            (ClientAuth::None, _) => None,
            (wanted, Some(trust)) => Some((trust.clone(), wanted)),
            (_, None) => {
                return Err(TlsError::Incomplete { key: "tls.server.need.client.auth", needs: TRUST });
            }
        };
        let files = Files { certificate, key, clients };
        let first = files.look();
        let current = RwLock::new(files.read()?);
        let handshake_limit = config.handshake_limit;
        Ok(Some(Self { shared: Arc::new(Shared { files, handshake_limit, first, current }) }))
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// The peer does something else, or takes too long.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        demand: Demand,
    ) -> io::Result<Box<TlsStream<TcpStream>>> {
        let config = {
            let current = self.shared.current.read();
            Arc::clone(if demand == Demand::AsSet { &current.as_set } else { &current.never })
        };
        // Boxed: it is large, and there is one for each connection.
        let accepting = Box::pin(TlsAcceptor::from(config).accept(stream));
        match timeout(self.shared.handshake_limit.duration(), accepting).await {
            Ok(stream) => Ok(Box::new(stream?)),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no handshake within tlsHandshakeTimeout")),
        }
    }

    /// Reads the files again whenever they change, until `stop` turns true.
    pub async fn keep_fresh(self, mut stop: watch::Receiver<bool>) {
        let mut known = self.shared.first.clone();
        loop {
            tokio::select! {
                () = sleep(LOOK) => {}
                // A sender that is gone counts as a stop.
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let found = self.look().await;
            if found == known {
                continue;
            }
            known = found;
            let this = self.clone();
            match tokio::task::spawn_blocking(move || this.read_again()).await {
                Ok(Ok(())) => tracing::info!("TLS certificates were read again"),
                Ok(Err(error)) => tracing::error!(%error, "TLS goes on with the certificates it had"),
                Err(error) => tracing::error!(%error, "TLS goes on with the certificates it had"),
            }
        }
    }

    /// Reads the files again. Connections that are open keep what they were opened with.
    ///
    /// # Errors
    /// [`TlsError`]: nothing changed.
    fn read_again(&self) -> Result<(), TlsError> {
        let read = self.shared.files.read()?;
        *self.shared.current.write() = read;
        Ok(())
    }

    async fn look(&self) -> Looks {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || shared.files.look()).await.unwrap_or_default()
    }
}

impl Files {
    fn look(&self) -> Looks {
        let state = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        let trust = self.clients.iter().map(|(trust, _)| trust);
        [&self.certificate, &self.key].into_iter().chain(trust).map(state).collect()
    }

    fn read(&self) -> Result<Current, TlsError> {
        let never = self.config(false)?;
        let as_set = match &self.clients {
            Some((_, ClientAuth::Require)) => self.config(true)?,
            _ => Arc::clone(&never),
        };
        Ok(Current { as_set, never })
    }

    fn config(&self, is_demanded: bool) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = certificates(CERTIFICATE, &self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| pem_error(KEY, &self.key, "private key without a password", error))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?;
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some((trust, _)) => {
                let refused = |why: &dyn std::fmt::Display| {
                    TlsError::Authority(format!("{} cannot be used: {why}", trust.display()))
                };
                let mut roots = RootCertStore::empty();
                for authority in certificates(TRUST, trust)? {
                    roots.add(authority).map_err(|error| refused(&error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = if is_demanded { verifier } else { verifier.allow_unauthenticated() };
                let verifier = verifier.build().map_err(|error: VerifierBuilderError| refused(&error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch,
            error => TlsError::Unusable(error),
        })?;
        Ok(Arc::new(config))
    }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    const WANTED: &str = "certificate";
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => {
            Err(TlsError::Missing { key, path: path.to_owned(), wanted: WANTED })
        }
        Ok(found) => Ok(found),
        Err(error) => Err(pem_error(key, path, WANTED, error)),
    }
}

fn pem_error(key: &'static str, path: &Path, wanted: &'static str, error: pem::Error) -> TlsError {
    let path = path.to_owned();
    match error {
        pem::Error::Io(source) => TlsError::Read { key, path, source },
        pem::Error::NoItemsFound => TlsError::Missing { key, path, wanted },
        error => TlsError::Garbled { key, path, why: error.to_string() },
    }
}

/// Whom the certificate that a client has shown names: its subject's common name, or else the first name that it has
/// otherwise. That the certificate is good was seen in the handshake.
pub(crate) fn certified_user(stream: &TlsStream<TcpStream>) -> Option<String> {
    user_of(stream.get_ref().1.peer_certificates()?.first()?)
}

fn user_of(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let common = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    if let Some(name) = common.filter(|name| !name.is_empty()) {
        return Some(name.to_owned());
    }
    let further = certificate.subject_alternative_name().ok()??;
    further.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    /// A certificate and its key, in PEM.
    fn pair(name: Option<&str>, hosts: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        (params.self_signed(&key).unwrap(), key)
    }

    fn config(dir: &Path) -> TlsConfig {
        TlsConfig {
            certificate: Some(dir.join("cert.pem")),
            key: Some(dir.join("key.pem")),
            ..TlsConfig::default()
        }
    }

    /// Writes a new certificate for these hosts, and its key, where [`config`] looks.
    fn write(dir: &Path, hosts: &[&str]) {
        let (certificate, key) = pair(None, hosts);
        std::fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    }

    #[test]
    fn a_start_error_says_which_file_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let problem = |config: &TlsConfig| Tls::load(config).unwrap_err().to_string();
        assert!(problem(&config).contains("cert.pem: No such file"), "{}", problem(&config));
        let (certificate, key) = pair(None, &["a.test"]);
        std::fs::write(dir.path().join("cert.pem"), key.serialize_pem()).unwrap();
        assert!(problem(&config).contains("cert.pem has no certificate in PEM"), "{}", problem(&config));
        std::fs::write(dir.path().join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), certificate.pem()).unwrap();
        assert!(problem(&config).contains("key.pem has no private key"), "{}", problem(&config));
        std::fs::write(dir.path().join("key.pem"), pair(None, &[]).1.serialize_pem()).unwrap();
        assert!(matches!(Tls::load(&config), Err(TlsError::Mismatch)));
        std::fs::write(dir.path().join("key.pem"), key.serialize_pem()).unwrap();
        assert!(Tls::load(&config).unwrap().is_some());
        let alone = TlsConfig { key: None, ..config.clone() };
        assert!(problem(&alone).contains("tls.server.keyPath is not"), "{}", problem(&alone));
        let untrusting = TlsConfig { client_auth: ClientAuth::Require, ..config };
        assert!(problem(&untrusting).contains("tls.server.trustCertPath is not"), "{}", problem(&untrusting));
        assert!(Tls::load(&TlsConfig::default()).unwrap().is_none());
    }

    #[test]
    fn files_are_read_again_and_bad_ones_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &["a.test"]);
        let tls = Tls::load(&config(dir.path())).unwrap().unwrap();
        let now = || Arc::clone(&tls.shared.current.read().as_set);
        let first = now();
        write(dir.path(), &["b.test"]);
        tls.read_again().unwrap();
        let second = now();
        assert!(!Arc::ptr_eq(&first, &second));
        std::fs::write(dir.path().join("key.pem"), "").unwrap();
        tls.read_again().unwrap_err();
        assert!(Arc::ptr_eq(&now(), &second));
    }

    #[tokio::test(start_paused = true)]
    async fn files_that_change_before_they_are_watched_are_read_again_too() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &["a.test"]);
        let tls = Tls::load(&config(dir.path())).unwrap().unwrap();
        let first = Arc::clone(&tls.shared.current.read().as_set);
        write(dir.path(), &["another.test"]);
        let (_stop, stopped) = watch::channel(false);
        let fresh = async {
            while Arc::ptr_eq(&first, &tls.shared.current.read().as_set) {
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = tls.clone().keep_fresh(stopped) => unreachable!("nobody stops it"),
            read = timeout(100 * LOOK, fresh) => read.expect("they are read again"),
        }
    }

    #[test]
    fn a_certificate_names_its_user_by_common_name_or_else_by_another() {
        let user = |name, hosts: &[&str]| user_of(pair(name, hosts).0.der());
        assert_eq!(user(Some("device 7"), &["d7.test"]).as_deref(), Some("device 7"));
        assert_eq!(user(None, &["d7.test"]).as_deref(), Some("d7.test"));
        assert_eq!(user(None, &[]), None);
        assert_eq!(user_of(b"no certificate"), None);
    }
}
