//! Times, filters and switches, as they are in the JSON of options.

use std::collections::BTreeMap;
use std::time::Duration;

use ferromq_bindings::Fault;
use ferromq_client::{ConsumeFrom, Filter, Strategy, Timestamp, UnknownStrategy};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};

/// How long whoever waits without a limit waits: longer than any process lives.
pub(crate) const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Reads options.
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
    milliseconds.map_or(Ok(FOREVER), |time| Ok(Ms::of(time)?.0.min(FOREVER)))
}

/// `"first"`, `"last"`, or a time in milliseconds since 1970.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "allowed is first, last or a time")]
pub(crate) enum From {
    Place(Place),
    Time(f64),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    First,
    Last,
}

impl From {
    pub(crate) fn start(self) -> ConsumeFrom {
        match self {
            Self::Place(Place::First) => ConsumeFrom::First,
            Self::Place(Place::Last) => ConsumeFrom::Last,
            Self::Time(time) => ConsumeFrom::Time(Timestamp(time as i64)),
        }
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

/// A strategy by the name that official clients have for it.
pub(crate) fn strategy(name: &str) -> Result<Strategy, Fault> {
    name.parse().map_err(|error: UnknownStrategy| Fault::config(error))
}
