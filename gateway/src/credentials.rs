//! Who may come in, by what secret: a file of tokens and users that front-ends share.
//!
//! Secrets are kept as their SHA-256 only, or as SCRAM's verifiers, so that neither a dump of the memory nor the time that a
//! comparison takes tells them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use crate::scram::{self, Verifier};

/// The most lines that a credentials file may have.
const MAX_CREDENTIALS: usize = 10_000;

/// Why a credentials file cannot be used. The operator's to solve.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of it says nothing that is understood. The line itself is not shown: it may hold a secret.
    #[error("{}:{line}: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// It lets nobody in.
    #[error("{} names nobody: write a line `token NAME SECRET` or `user NAME PASSWORD`", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Bearer,
    Basic,
}

/// Who may come in.
pub struct Credentials {
    known: Vec<(Way, String, Secret)>,
}

/// What is kept of a secret.
enum Secret {
    Hashed(Hash),
    /// To verify a password takes long: that of the first who knew it is remembered as its hash.
    Verified(Box<Verifier>, OnceLock<Hash>),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} credentials", self.known.len())
    }
}

impl Credentials {
    /// Reads a file of lines `token NAME SECRET` and `user NAME PASSWORD`; `sha256:HEX` may stand for a secret,
    /// `SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY` for a password, and lines that are empty or begin with `#` are passed over.
    ///
    /// # Errors
    /// [`CredentialsError`]: it cannot be read, or understood, or names nobody.
    pub fn load(path: &Path) -> Result<Self, CredentialsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| CredentialsError::Read { path: path.to_owned(), source })?;
        let mut known = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |why| CredentialsError::Line { path: path.to_owned(), line: index + 1, why };
            if known.len() == MAX_CREDENTIALS {
                return Err(wrong("more lines than 10,000 are not taken"));
            }
            known.push(parse(line).map_err(wrong)?);
        }
        if known.is_empty() {
            return Err(CredentialsError::Empty { path: path.to_owned() });
        }
        Ok(Self { known })
    }

    /// Whose token this is.
    pub(crate) fn token(&self, secret: &str) -> Option<&str> {
        self.find(Way::Bearer, None, secret)
    }

    /// The user of this name, if this is the password.
    pub(crate) fn user(&self, name: &str, password: &str) -> Option<&str> {
        self.find(Way::Basic, Some(name), password)
    }

    /// What SCRAM needs of a user, if the file has it.
    pub(crate) fn verifier(&self, user: &str) -> Option<&Verifier> {
        self.known.iter().find_map(|(_, name, secret)| match secret {
            Secret::Verified(verifier, _) if name == user => Some(&**verifier),
            _ => None,
        })
    }

    /// Whether there is anybody whom SCRAM may know.
    pub(crate) fn has_verifiers(&self) -> bool {
        self.known.iter().any(|(_, _, secret)| matches!(secret, Secret::Verified(..)))
    }

    /// Compares hashes: how far two of them agree says nothing about the secrets.
    fn find(&self, way: Way, name: Option<&str>, secret: &str) -> Option<&str> {
        let hash: Hash = Sha256::digest(secret).into();
        let is_it = |(known_way, known, of): &&(Way, String, Secret)| {
            let is_named = *known_way == way && name.is_none_or(|name| name == known);
            is_named
                && match of {
                    Secret::Hashed(of) => *of == hash,
                    Secret::Verified(verifier, seen) => {
                        let is_known = seen.get() == Some(&hash) || verifier.verifies(secret);
                        if is_known {
                            let _ = seen.set(hash);
                        }
                        is_known
                    }
                }
        };
        self.known.iter().find(is_it).map(|(_, name, _)| name.as_str())
    }
}

fn parse(line: &str) -> Result<(Way, String, Secret), &'static str> {
    const FORM: &str = "write `token NAME SECRET` or `user NAME PASSWORD`";
    let mut words = line.splitn(3, char::is_whitespace);
    let way = match words.next() {
        Some("token") => Way::Bearer,
        Some("user") => Way::Basic,
        _ => return Err(FORM),
    };
    let (Some(name), Some(secret)) = (words.next(), words.next().map(str::trim)) else { return Err(FORM) };
    if name.is_empty() || secret.is_empty() || name.contains(':') {
        return Err(FORM);
    }
    if way == Way::Basic && secret.strip_prefix(scram::NAME).is_some_and(|rest| rest.starts_with('$')) {
        let verifier = Verifier::parse(secret)
            .ok_or("SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY, 4096 to 100000")?;
        return Ok((way, name.to_owned(), Secret::Verified(Box::new(verifier), OnceLock::new())));
    }
    let hash = match secret.strip_prefix("sha256:") {
        None => Sha256::digest(secret).into(),
        Some(hex) => from_hex(hex).ok_or("sha256: has 64 hex digits behind it")?,
    };
    Ok((way, name.to_owned(), Secret::Hashed(hash)))
}

/// Reads the 64 digits of a hash.
pub(crate) fn from_hex(hex: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_line_that_is_not_understood_is_named_without_what_it_says() {
        for text in ["token ci", "tokn ci hunter2", "user a:b hunter2", "user a sha256:hunter2"] {
            let file = file(&format!("# first\n{text}\n"));
            let error = Credentials::load(file.path()).unwrap_err().to_string();
            assert!(error.contains(":2: ") && !error.contains("hunter2"), "{error}");
        }
        assert!(matches!(Credentials::load(file("").path()), Err(CredentialsError::Empty { .. })));
    }
}
