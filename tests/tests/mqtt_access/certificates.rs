//! An authority and what it signs, in files.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair,
};

/// An authority, with its files in a directory.
pub(crate) struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Its certificate is `authority.pem`.
    pub(crate) fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("a directory");
        let key = KeyPair::generate().expect("a key");
        let mut params = named("test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(dir.join("authority.pem"), certificate.pem()).expect("a file");
        Self { dir: dir.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// Signs a certificate of a server at 127.0.0.1: `server.pem` and `server.key`.
    pub(crate) fn server(&self) {
        let mut params = named("server");
        let hosts = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]);
        params.subject_alt_names = hosts.expect("names").subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign("server", &params);
    }

    /// Signs a certificate of a client: NAME`.pem` and NAME`.key`.
    pub(crate) fn client(&self, name: &str) {
        let mut params = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(name, &params);
    }

    fn sign(&self, name: &str, params: &CertificateParams) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        fs::write(self.dir.join(format!("{name}.key")), key.serialize_pem()).expect("a file");
        fs::write(self.dir.join(format!("{name}.pem")), certificate.pem()).expect("a file");
    }

    /// One of its files.
    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
