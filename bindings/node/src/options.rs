//! Options, times and filters, as they are in JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ferromq_bindings::{Configure, Fault, OptionError, SwitchOrDuration, TlsFiles, Value};
use ferromq_client::{ConsumeFrom, Credentials, Filter, Timestamp, Tls};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value as Json};

/// Sets the options of an object. Null is as if it were not there.
pub(crate) fn configured<B: Configure>(json: &str, builder: B) -> Result<B, Fault> {
    let options: Map<String, Json> = read(json)?;
    options.into_iter().filter(|(_, value)| !value.is_null()).try_fold(builder, |builder, (name, value)| {
        builder.set(&snake_case(&name), Given(value)).map_err(|error| match error {
            OptionError::Unknown(known) => {
                let known: Vec<_> = known.iter().map(|name| camel_case(name)).collect();
                Fault::config(format_args!("there is no option {name:?}: there are {}", known.join(", ")))
            }
            OptionError::Value(fault) => Fault::config(format_args!("{name}: {}", fault.text)),
        })
    })
}

/// `sendTimeout` as `send_timeout`. What is no name of JavaScript's stays none of Rust's.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        match letter {
            '_' => snake.push('-'),
            'A'..='Z' => snake.extend(['_', letter.to_ascii_lowercase()]),
            _ => snake.push(letter),
        }
    }
    snake
}

/// `send_timeout` as `sendTimeout`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        camel.push_str(&first.to_ascii_uppercase());
        camel.push_str(rest);
    }
    camel
}

/// What is given as an option.
struct Given(Json);

impl Given {
    fn read<T: DeserializeOwned>(self) -> Result<T, Fault> {
        serde_json::from_value(self.0).map_err(Fault::config)
    }
}

impl Value for Given {
    type Error = Fault;

    fn unfit(fault: Fault) -> Fault {
        fault
    }

    fn switch(self) -> Result<bool, Fault> {
        self.read()
    }

    fn u32(self) -> Result<u32, Fault> {
        self.read()
    }

    fn u64(self) -> Result<u64, Fault> {
        self.read()
    }

    fn usize(self) -> Result<usize, Fault> {
        self.read()
    }

    fn text(self) -> Result<String, Fault> {
        self.read()
    }

    fn path(self) -> Result<PathBuf, Fault> {
        self.read()
    }

    fn duration(self) -> Result<Duration, Fault> {
        Ok(self.read::<Ms>()?.0)
    }

    fn switch_or_duration(self) -> Result<SwitchOrDuration, Fault> {
        match self.0 {
            Json::Bool(switch) => Ok(SwitchOrDuration::Switch(switch)),
            _ => Ok(SwitchOrDuration::Duration(self.duration()?)),
        }
    }

    fn start(self) -> Result<ConsumeFrom, Fault> {
        Ok(self.read::<Place>()?.0)
    }

    fn tls(self) -> Result<Tls, Fault> {
        self.read::<Encryption>()?.files().read()
    }

    fn credentials(self) -> Result<Credentials, Fault> {
        Ok(self.read::<Keys>()?.credentials())
    }
}

/// How connections are encrypted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Encryption {
    authorities: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    server_name: Option<String>,
    #[serde(default)]
    trust_anyone: bool,
}

impl Encryption {
    fn files(self) -> TlsFiles {
        let Self { authorities, certificate, key, server_name, trust_anyone } = self;
        TlsFiles { authorities, certificate, key, server_name, trust_anyone }
    }
}

/// What requests are signed with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Keys {
    access_key: String,
    secret_key: String,
    security_token: Option<String>,
}

impl Keys {
    fn credentials(&self) -> Credentials {
        let credentials = Credentials::new(&self.access_key, &self.secret_key);
        match &self.security_token {
            Some(token) => credentials.with_security_token(token),
            None => credentials,
        }
    }
}

/// Reads what is JSON.
pub(crate) fn read<T: DeserializeOwned>(json: &str) -> Result<T, Fault> {
    serde_json::from_str(json).map_err(Fault::config)
}

/// Milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Ms(pub(crate) Duration);

impl Ms {
    /// What JavaScript has as a number.
    pub(crate) fn of(milliseconds: f64) -> Result<Self, Fault> {
        let duration = Duration::try_from_secs_f64(milliseconds / 1000.0);
        duration.map(Self).map_err(|_| Fault::config(format_args!("{milliseconds} ms is no duration")))
    }
}

impl<'de> Deserialize<'de> for Ms {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::of(f64::deserialize(from)?).map_err(|fault| D::Error::custom(fault.text))
    }
}

/// How long to wait: forever, if it is not said.
pub(crate) fn limit(milliseconds: Option<f64>) -> Result<Duration, Fault> {
    milliseconds.map_or(Ok(Duration::MAX), |milliseconds| Ok(Ms::of(milliseconds)?.0))
}

/// `"first"`, `"last"`, or a time in milliseconds since 1970.
#[derive(Clone, Copy, Deserialize)]
#[serde(from = "Written")]
pub(crate) struct Place(pub(crate) ConsumeFrom);

#[derive(Deserialize)]
#[serde(untagged, expecting = "allowed is first, last or a time")]
enum Written {
    Named(Named),
    Time(f64),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Named {
    First,
    Last,
}

impl From<Written> for Place {
    fn from(written: Written) -> Self {
        Self(match written {
            Written::Named(Named::First) => ConsumeFrom::First,
            Written::Named(Named::Last) => ConsumeFrom::Last,
            Written::Time(time) => ConsumeFrom::Time(Timestamp(time as i64)),
        })
    }
}

/// Which messages of a topic are wanted.
#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wanted {
    #[default]
    All,
    Tags(String),
    Sql(String),
}

impl Wanted {
    pub(crate) fn filter(&self) -> Result<Filter, Fault> {
        match self {
            Self::All => Ok(Filter::all()),
            Self::Tags(expression) => Ok(Filter::tags(expression)),
            Self::Sql(expression) => Filter::sql(expression).map_err(Fault::config),
        }
    }
}

/// Topics with their filters.
pub(crate) fn topics(json: &str) -> Result<Vec<(String, Filter)>, Fault> {
    let topics: BTreeMap<String, Wanted> = read(json)?;
    topics.into_iter().map(|(topic, wanted)| Ok((topic, wanted.filter()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_javascript() {
        assert_eq!(snake_case("retryAnotherBrokerWhenNotStored"), "retry_another_broker_when_not_stored");
        assert_eq!(camel_case("retry_another_broker_when_not_stored"), "retryAnotherBrokerWhenNotStored");
        assert_ne!(snake_case("send_timeout"), "send_timeout");
    }
}
