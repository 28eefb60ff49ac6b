use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromq_protocol::code::RequestCode;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::WebPkiClientVerifier;

use super::*;
use crate::error::{CallError, Remedy};
use crate::fake::{FakeServer, Reaction};
use crate::wire::{Link, LinkSettings};

/// As long as nothing but a broken client takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Files of an authority, of a server `broker.test` with the address 127.0.0.1, and of a client, both signed by it.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = authority.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("authority.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(authority, key);
        for (name, hosts) in [("server", &["broker.test", "127.0.0.1"][..]), ("client", &["client.test"])] {
            let key = KeyPair::generate().unwrap();
            let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
            let certificate = CertificateParams::new(hosts).unwrap().signed_by(&key, &issuer).unwrap();
            std::fs::write(dir.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(dir.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The server, which wants to see certificates of clients or not.
    async fn server(&self, clients: bool) -> FakeServer {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = if clients {
            let mut roots = RootCertStore::empty();
            roots.add(certificates(&self.path("authority.pem")).unwrap().remove(0)).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let chain = certificates(&self.path("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.path("server.key")).unwrap();
        let config = builder.with_single_cert(chain, key).unwrap();
        FakeServer::start_tls(config, |_| Reaction::ok()).await
    }
}

/// Calls the server once.
async fn call(server: &FakeServer, tls: Option<Tls>) -> Result<(), CallError> {
    let (inbox, _requests) = mpsc::channel(1);
    let settings =
        LinkSettings { connect_limit: PATIENCE, tls, credentials: None, inbox, connected: Arc::default() };
    let link = Link::new(server.address(), Arc::new(settings));
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&link).run(stopped));
    let called = link.call(RequestCode::HeartBeat, &(), &Bytes::new(), PATIENCE).await;
    stop.send_replace(true);
    running.await.unwrap();
    called.map(|_| ())
}

#[tokio::test]
async fn a_server_of_a_trusted_authority_is_spoken_to() {
    let files = Files::new();
    let server = files.server(false).await;
    let tls = Tls::trusting(&files.path("authority.pem")).unwrap();
    call(&server, Some(tls.clone())).await.unwrap();
    // It is reached by its address, and its certificate is for its name, too.
    call(&server, Some(tls.for_server("broker.test").unwrap())).await.unwrap();
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_not_unless_anyone_is_trusted() {
    let files = Files::new();
    let server = files.server(false).await;
    let elsewhere = Files::new();
    let tls = Tls::trusting(&elsewhere.path("authority.pem")).unwrap();
    let refused = call(&server, Some(tls)).await.unwrap_err();
    assert!(matches!(refused, CallError::Unreachable { .. }), "{refused}");
    assert!(refused.to_string().contains("invalid peer certificate"), "{refused}");
    assert_eq!(refused.remedy(), Remedy::AskOperator);
    call(&server, Some(Tls::trusting_anyone().unwrap())).await.unwrap();
}

#[tokio::test]
async fn a_server_that_proves_to_be_another_is_not_spoken_to() {
    let files = Files::new();
    let server = files.server(false).await;
    let tls = Tls::trusting(&files.path("authority.pem")).unwrap().for_server("other.test").unwrap();
    let refused = call(&server, Some(tls)).await.unwrap_err();
    assert!(refused.to_string().contains("not valid for name \"other.test\""), "{refused}");
    assert_eq!(refused.remedy(), Remedy::AskOperator);
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_it() {
    let files = Files::new();
    let server = files.server(true).await;
    let authority = files.path("authority.pem");
    let shown = Tls::trusting_as(&authority, &files.path("client.pem"), &files.path("client.key")).unwrap();
    call(&server, Some(shown)).await.unwrap();
    // The server may have closed before its words are read.
    let refused = call(&server, Some(Tls::trusting(&authority).unwrap())).await.unwrap_err();
    assert!(matches!(refused, CallError::Lost { .. } | CallError::Unreachable { .. }), "{refused}");
}

#[test]
fn files_that_hold_no_certificate_are_named() {
    let files = Files::new();
    let missing = Tls::trusting(&files.path("missing.pem")).unwrap_err();
    assert!(missing.to_string().contains("missing.pem"), "{missing}");
    let key = Tls::trusting(&files.path("server.key")).unwrap_err();
    assert!(key.to_string().ends_with("server.key: holds no certificate"), "{key}");
    assert!(matches!(Tls::trusting_anyone().unwrap().for_server("a b"), Err(TlsError::ServerName(_))));
}
