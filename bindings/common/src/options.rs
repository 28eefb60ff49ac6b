//! What clients, producers and consumers can be given: one table of options for each, by name.
//!
//! ```text
//! language ── "send_timeout", a value ──▶ Configure::set ──▶ Value::duration ──▶ ProducerBuilder::send_timeout
//! ```
//! A language goes through what its user gave. The table says as what a value is read, [`Value`] how that is done in the
//! language. What is not given stays as it is in the client, which says what that is.

use std::path::PathBuf;
use std::time::Duration;

use ferromq_client::{
    ClientBuilder, Compression, ConsumeFrom, Credentials, Filter, PopConsumerBuilder, ProducerBuilder,
    PullConsumerBuilder, PushConsumerBuilder, Strategy, Tls, TlsError, TraceConfig,
    TransactionProducerBuilder, UnknownStrategy,
};

use crate::fault::Fault;

/// What a language has as the value of an option: each method reads it as one kind.
#[expect(missing_docs, reason = "their types say it")]
pub trait Value: Sized {
    /// What whoever gave a value of another kind is told.
    type Error;

    /// That the value is of the right kind, and will not do.
    fn unfit(fault: Fault) -> Self::Error;

    fn switch(self) -> Result<bool, Self::Error>;
    fn u32(self) -> Result<u32, Self::Error>;
    fn u64(self) -> Result<u64, Self::Error>;
    fn usize(self) -> Result<usize, Self::Error>;
    fn text(self) -> Result<String, Self::Error>;
    fn path(self) -> Result<PathBuf, Self::Error>;
    fn duration(self) -> Result<Duration, Self::Error>;
    fn switch_or_duration(self) -> Result<SwitchOrDuration, Self::Error>;
    fn start(self) -> Result<ConsumeFrom, Self::Error>;
    fn tls(self) -> Result<Tls, Self::Error>;
    fn credentials(self) -> Result<Credentials, Self::Error>;

    fn strategy(self) -> Result<Strategy, Self::Error> {
        self.text()?.parse().map_err(|error: UnknownStrategy| Self::unfit(Fault::config(error)))
    }

    fn compression(self) -> Result<Option<Compression>, Self::Error> {
        match self.text()?.as_str() {
            "none" => Ok(None),
            "zlib" => Ok(Some(Compression::Zlib)),
            "lz4" => Ok(Some(Compression::Lz4)),
            "zstd" => Ok(Some(Compression::Zstd)),
            other => {
                let text = format!("compression is {other:?}, allowed is none, zlib, lz4 and zstd");
                Err(Self::unfit(Fault::config(text)))
            }
        }
    }
}

/// Whether something is done from time to time, or how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchOrDuration {
    /// Not, or as often as usual.
    Switch(bool),
    /// With so much time between.
    Duration(Duration),
}

/// Files for an encrypted connection, of which not all go together.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// Certificates of whom to trust.
    pub authorities: Option<PathBuf>,
    /// This client's certificate.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// What servers' certificates are for, if that is not their address.
    pub server_name: Option<String>,
    /// Whether any server is trusted.
    pub trust_anyone: bool,
}

impl TlsFiles {
    /// Reads them.
    ///
    /// # Errors
    /// They do not go together, or one cannot be used.
    pub fn read(self) -> Result<Tls, Fault> {
        let tls = match (self.authorities, self.certificate, self.key) {
            (None, None, None) if self.trust_anyone => Tls::trusting_anyone(),
            (Some(authorities), None, None) if !self.trust_anyone => Tls::trusting(&authorities),
            (Some(authorities), Some(certificate), Some(key)) if !self.trust_anyone => {
                Tls::trusting_as(&authorities, &certificate, &key)
            }
            _ => {
                let text =
                    "TLS takes authorities, with certificate and key or without; or trust in anyone, alone";
                return Err(Fault::config(text));
            }
        };
        let named = |tls: Tls| match self.server_name {
            Some(name) => tls.for_server(&name),
            None => Ok(tls),
        };
        tls.and_then(named).map_err(|error: TlsError| error.into())
    }
}

/// Why an option is not set.
#[derive(Debug)]
pub enum OptionError<E> {
    /// There is none of this name, but these.
    Unknown(&'static [&'static str]),
    /// Its value.
    Value(E),
}

/// What has options.
pub trait Configure: Sized {
    /// Their names.
    const OPTIONS: &'static [&'static str];

    /// Sets an option.
    ///
    /// # Errors
    /// There is no such option, or its value is of another kind, or will not do.
    fn set<V: Value>(self, name: &str, value: V) -> Result<Self, OptionError<V::Error>>;
}

/// Options, the kinds of their values, and where the builder's method has another name or form: how it is called.
macro_rules! options {
    ($($builder:ty { $($option:ident: $kind:ident $(=> |$to:ident, $it:ident| $set:expr)?,)+ })+) => {$(
        impl Configure for $builder {
            const OPTIONS: &'static [&'static str] = &[$(stringify!($option)),+];

            fn set<V: Value>(self, name: &str, value: V) -> Result<Self, OptionError<V::Error>> {
                match name {
                    $(stringify!($option) => {
                        let value = value.$kind().map_err(OptionError::Value)?;
                        Ok(options!(@call self, value, $option $(, |$to, $it| $set)?))
                    })+
                    _ => Err(OptionError::Unknown(Self::OPTIONS)),
                }
            }
        }
    )+};
    (@call $self:expr, $value:ident, $option:ident) => { $self.$option($value) };
    (@call $self:expr, $value:ident, $option:ident, |$to:ident, $it:ident| $set:expr) => {{
        let ($to, $it) = ($self, $value);
        $set
    }};
}

options! {
    ClientBuilder {
        instance_name: text => |to, name| to.instance_name(&name),
        unit_name: text => |to, name| to.unit_name(&name),
        sticky: switch,
        tls: tls,
        credentials: credentials,
        trace_topic: text => |to, topic| to.trace(TraceConfig::default().topic(&topic)),
        call_timeout: duration,
        connect_timeout: duration,
        route_refresh: duration,
        heartbeat: duration,
    }
    ProducerBuilder {
        send_timeout: duration,
        try_timeout: duration,
        retries: u32,
        retry_another_broker_when_not_stored: switch,
        max_message_size: usize,
        compression: compression,
        compress_over: usize,
        compression_level: u32,
        avoid_slow_brokers: switch,
        topic_queues: u32,
        linger: duration,
        linger_bytes: usize,
        max_in_flight: usize,
        max_in_flight_bytes: usize,
    }
    PushConsumerBuilder {
        in_order: switch => |to, on| if on { to.in_order() } else { to },
        broadcasting: path,
        consume_from: start,
        strategy: strategy,
        fetch_batch: u32,
        max_buffered: usize,
        max_buffered_bytes: usize,
        max_span: u64,
        max_reconsume_times: u32,
        pause_after_failure: duration,
    }
    PullConsumerBuilder {
        offsets_in: path,
        consume_from: start,
        strategy: strategy,
        auto_commit: switch_or_duration => |to, every| match every {
            SwitchOrDuration::Switch(true) => to,
            SwitchOrDuration::Switch(false) => to.auto_commit(None),
            SwitchOrDuration::Duration(time) => to.auto_commit(Some(time)),
        },
        fetch_batch: u32,
        max_buffered: usize,
        max_buffered_bytes: usize,
        max_polled: usize,
    }
    PopConsumerBuilder {
        invisible_time: duration,
        from_oldest: switch => |to, on| if on { to.from_oldest() } else { to },
        in_order: switch => |to, on| if on { to.in_order() } else { to },
    }
}

/// What is subscribed to topics.
pub trait Subscribe: Sized {
    /// Subscribes it to these, too.
    #[must_use]
    fn subscribed(self, topics: impl IntoIterator<Item = (String, Filter)>) -> Self;
}

macro_rules! subscribe {
    ($($builder:ty),+) => {$(
        impl Subscribe for $builder {
            fn subscribed(self, topics: impl IntoIterator<Item = (String, Filter)>) -> Self {
                topics.into_iter().fold(self, |builder, (topic, filter)| builder.subscribe(&topic, filter))
            }
        }
    )+};
}

subscribe!(PushConsumerBuilder, PullConsumerBuilder, PopConsumerBuilder);

impl Configure for TransactionProducerBuilder {
    const OPTIONS: &'static [&'static str] = ProducerBuilder::OPTIONS;

    fn set<V: Value>(self, name: &str, value: V) -> Result<Self, OptionError<V::Error>> {
        self.try_with(|producer| producer.set(name, value))
    }
}
