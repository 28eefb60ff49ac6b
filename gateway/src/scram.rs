//! SCRAM-SHA-256 (RFC 5802 and 7677), the server's side: neither side says the password, and each shows the other that it
//! knows something of it.
//!
//! What is kept of a password is a [`Verifier`], in the words of PostgreSQL: whoever reads it can let nobody in by it. Names
//! and passwords are compared as they are: those of other characters than ASCII have to be in one form already.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::credentials::{Credentials, Hash};
use crate::mqtt::auth::{Exchange, Method, Step};

/// The name of the method.
pub(crate) const NAME: &str = "SCRAM-SHA-256";
/// What a login may cost.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4_096..=100_000;
/// Of those that nobody has.
const USUAL_ITERATIONS: u32 = 4_096;

/// What lets a server know a password without having it.
#[derive(Clone)]
pub(crate) struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Hash,
    server_key: Hash,
}

impl Verifier {
    /// Reads `SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY`, the latter three in base64.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (iterations, rest) = text.strip_prefix(NAME)?.strip_prefix('$')?.split_once(':')?;
        let (salt, keys) = rest.split_once('$')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let hash = |text: &str| Hash::try_from(BASE64.decode(text).ok()?).ok();
        let verifier = Self {
            iterations: iterations.parse().ok().filter(|count| ITERATIONS.contains(count))?,
            salt: BASE64.decode(salt).ok().filter(|salt| !salt.is_empty())?,
            stored_key: hash(stored_key)?,
            server_key: hash(server_key)?,
        };
        Some(verifier)
    }

    /// Of a password.
    fn of(password: &str, salt: &[u8], iterations: u32) -> Self {
        // PBKDF2 with one block of output.
        let mut last = mac(password.as_bytes(), &[salt, &1u32.to_be_bytes()]);
        let mut salted = last;
        let keyed = keyed(password.as_bytes());
        for _ in 1..iterations {
            let mut next = keyed.clone();
            next.update(&last);
            last = next.finalize().into_bytes().into();
            salted = xor(&salted, &last);
        }
        let stored_key = Sha256::digest(mac(&salted, &[b"Client Key"])).into();
        let server_key = mac(&salted, &[b"Server Key"]);
        Self { iterations, salt: salt.to_owned(), stored_key, server_key }
    }

    /// Whether this is the password. It takes milliseconds.
    pub(crate) fn verifies(&self, password: &str) -> bool {
        // Hashes of what nobody chooses: how far they agree says nothing.
        Self::of(password, &self.salt, self.iterations).stored_key == self.stored_key
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length")
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Hash {
    let mut mac = keyed(key);
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn xor(one: &Hash, other: &Hash) -> Hash {
    std::array::from_fn(|at| one[at] ^ other[at])
}

/// 32 bytes that nobody foresees.
fn random() -> Hash {
    let mut bytes = [0; 32];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    // Up to 256 bytes come whole, and without an error once the system has started.
    assert_eq!(filled, Ok(bytes.len()), "the system's random numbers");
    bytes
}

/// The method, for the users of a credentials file.
pub(crate) struct Scram {
    credentials: Arc<Credentials>,
    /// Makes up what is told to those who name nobody, the same each time.
    secret: Hash,
}

impl Scram {
    pub(crate) fn new(credentials: Arc<Credentials>) -> Self {
        Self { credentials, secret: random() }
    }
}

impl Method for Scram {
    fn name(&self) -> &str {
        NAME
    }

    fn begin(&self) -> Box<dyn Exchange> {
        let nonce = BASE64.encode(&random()[..18]);
        Box::new(Conversation {
            credentials: Arc::clone(&self.credentials),
            secret: self.secret,
            nonce,
            state: State::First,
        })
    }
}

struct Conversation {
    credentials: Arc<Credentials>,
    secret: Hash,
    /// Ours.
    nonce: String,
    state: State,
}

enum State {
    /// Nothing was said.
    First,
    /// The client was told salt and nonce.
    Final {
        user: String,
        binding: String,
        verifier: Option<Verifier>,
        nonce: String,
        said: String,
    },
    Over,
}

impl Exchange for Conversation {
    fn step(&mut self, data: &[u8]) -> Step {
        let state = std::mem::replace(&mut self.state, State::Over);
        // A client may wait for the server to ask.
        if matches!(state, State::First) && data.is_empty() {
            self.state = State::First;
            return Step::Continue(Vec::new());
        }
        let step = std::str::from_utf8(data).ok().and_then(|text| match state {
            State::First => self.first(text),
            State::Final { user, binding, verifier, nonce, said } => {
                accept(text, &binding, verifier.as_ref(), &nonce, &said)
                    .map(|last| Step::Accept { user, last: last.into_bytes() })
            }
            State::Over => None,
        });
        step.unwrap_or(Step::Refuse)
    }
}

impl Conversation {
    fn first(&mut self, text: &str) -> Option<Step> {
        let mut parts = text.splitn(3, ',');
        let (flag, authorize, bare) = (parts.next()?, parts.next()?, parts.next()?);
        // There is no channel to bind to: whoever insists on one is refused.
        if !matches!(flag, "n" | "y") {
            return None;
        }
        let mut fields = bare.split(',');
        let name = unescaped(fields.next()?.strip_prefix("n=")?)?;
        let theirs = fields.next()?.strip_prefix("r=").filter(|nonce| !nonce.is_empty())?;
        if !authorize.is_empty() && unescaped(authorize.strip_prefix("a=")?)? != name {
            return None;
        }
        let verifier = self.credentials.verifier(&name).cloned();
        let nonce = format!("{theirs}{}", self.nonce);
        let (salt, iterations) = match &verifier {
            Some(verifier) => (BASE64.encode(&verifier.salt), verifier.iterations),
            None => (BASE64.encode(&mac(&self.secret, &[name.as_bytes()])[..16]), USUAL_ITERATIONS),
        };
        let answer = format!("r={nonce},s={salt},i={iterations}");
        let binding = BASE64.encode(format!("{flag},{authorize},"));
        let said = format!("{bare},{answer}");
        self.state = State::Final { user: name, binding, verifier, nonce, said };
        Some(Step::Continue(answer.into_bytes()))
    }
}

/// What the client is told last, if it has shown that it knows the password.
fn accept(text: &str, binding: &str, verifier: Option<&Verifier>, nonce: &str, said: &str) -> Option<String> {
    let (without_proof, proof) = text.rsplit_once(",p=")?;
    let mut fields = without_proof.split(',');
    if fields.next()?.strip_prefix("c=")? != binding || fields.next()?.strip_prefix("r=")? != nonce {
        return None;
    }
    let proof = Hash::try_from(BASE64.decode(proof).ok()?).ok()?;
    let verifier = verifier?;
    let all = [said.as_bytes(), b",", without_proof.as_bytes()];
    let client_key = xor(&proof, &mac(&verifier.stored_key, &all));
    let shown: Hash = Sha256::digest(client_key).into();
    let is_known = shown == verifier.stored_key;
    is_known.then(|| format!("v={}", BASE64.encode(mac(&verifier.server_key, &all))))
}

/// A name in which `=2C` stands for a comma and `=3D` for an equals sign.
fn unescaped(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('=') {
        name.push_str(before);
        name.push(match behind.get(..2)? {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        rest = &behind[2..];
    }
    name.push_str(rest);
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(lines: &str) -> Arc<Credentials> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines).unwrap();
        Arc::new(Credentials::load(file.path()).unwrap())
    }

    /// The example of RFC 7677: user `user`, password `pencil`.
    fn example() -> Verifier {
        Verifier::of("pencil", &BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4_096)
    }

    fn line(verifier: &Verifier) -> String {
        let [salt, stored, server] = [&verifier.salt[..], &verifier.stored_key, &verifier.server_key]
            .map(|bytes| BASE64.encode(bytes));
        format!("user user {NAME}${}:{salt}${stored}:{server}\n", verifier.iterations)
    }

    fn conversation(nonce: &str) -> Conversation {
        let credentials = credentials(&line(&example()));
        Conversation { credentials, secret: [7; 32], nonce: nonce.to_owned(), state: State::First }
    }

    #[test]
    fn the_example_of_rfc_7677_goes_as_it_says() {
        let mut talk = conversation("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        assert!(matches!(talk.step(b""), Step::Continue(data) if data.is_empty()));
        let Step::Continue(first) = talk.step(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") else { panic!() };
        let said = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(String::from_utf8(first).unwrap(), said);
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let Step::Accept { user, last } = talk.step(last.as_bytes()) else { panic!() };
        assert_eq!(user, "user");
        assert_eq!(String::from_utf8(last).unwrap(), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert!(matches!(talk.step(b"n,,n=user,r=x"), Step::Refuse), "it is over");
    }

    #[test]
    fn a_wrong_proof_nonce_or_binding_is_refused_and_a_stranger_only_at_the_end() {
        let proof = "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        for last in [
            format!("c=biws,r=ab,{}", proof.replace("dHzb", "dHzc")),
            format!("c=biws,r=a,{proof}"),
            format!("c=eSws,r=ab,{proof}"),
            "c=biws,r=ab".to_owned(),
            String::new(),
        ] {
            let mut talk = conversation("b");
            assert!(matches!(talk.step(b"n,,n=user,r=a"), Step::Continue(_)));
            assert!(matches!(talk.step(last.as_bytes()), Step::Refuse), "{last}");
        }
        let mut talk = conversation("b");
        let Step::Continue(first) = talk.step(b"n,,n=nobody,r=a") else { panic!() };
        assert!(String::from_utf8(first).unwrap().ends_with(",i=4096"));
        assert!(matches!(talk.step(format!("c=biws,r=ab,{proof}").as_bytes()), Step::Refuse));
        for first in
            ["p=tls-unique,,n=user,r=a", "n,a=other,n=user,r=a", "n,,m=x,n=user,r=a", "n,,n=user", "x"]
        {
            assert!(matches!(conversation("b").step(first.as_bytes()), Step::Refuse), "{first}");
        }
    }

    #[test]
    fn a_verifier_knows_the_password_and_nothing_else() {
        let known = credentials(&line(&example()));
        assert_eq!(known.user("user", "pencil"), Some("user"));
        assert_eq!(known.user("user", "pencil"), Some("user"), "what is remembered of the first time");
        assert_eq!(known.user("user", "pen"), None);
        assert_eq!(known.token("pencil"), None);
        assert!(Verifier::parse("SCRAM-SHA-256$1:AAAA$AAAA:AAAA").is_none());
    }
}
