//! Settings of OTLP.

use std::path::PathBuf;

use ferromq_model::config::ConfigValue;
use ferromq_model::{Millis, config_keys};

config_keys! {
    /// What the broker tells an OpenTelemetry collector. Nothing without `otlpEndpoint`.
    pub struct OtlpConfig {
        /// The collector, spoken to by OTLP over HTTP with binary bodies. TLS is not spoken: a collector beside this
        /// process passes on to where it is.
        "otlpEndpoint" => endpoint: Option<Endpoint> = None, Restart;
        /// A file of headers for each request to it, such as `authorization: Bearer …`, one a line.
        "otlpHeadersFile" => headers: Option<PathBuf> = None, Restart;
        /// Tell it metrics: those of docs/metrics.md but for the official exporter's.
        "otlpMetrics" => metrics: bool = true, Restart;
        /// How often.
        "otlpMetricsInterval" => interval: Millis = Millis::secs(60), Restart, in Millis::secs(1)..=Millis::hours(1);
        /// Tell it traces: what requests and appended batches take, linked to the traces of clients that send `traceparent`
        /// along.
        "otlpTraces" => traces: bool = true, Restart;
        /// How many of a hundred traces that begin here are told. Of those that clients begin, the ones that they
        /// say are.
        "otlpTracePercent" => percent: u32 = 1, Restart, in 0..=100;
    }
}

/// Where a collector listens: `http://host:port`, with a path where it is behind one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `host:port`.
    pub authority: String,
    /// Begins with `/` and ends without, or is empty.
    pub path: String,
}

impl ConfigValue for Endpoint {
    const KIND: &'static str = "address";
    const UNIT: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Self, String> {
        let bad = |why| format!("\"{text}\" {why}");
        if text.starts_with("https://") {
            return Err(bad("asks for TLS, which is not spoken to collectors"));
        }
        let rest = text.strip_prefix("http://").ok_or_else(|| bad("does not begin with http://"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let port = authority.rsplit_once(':').map(|(host, port)| (host.is_empty(), port.parse::<u16>()));
        let Some((false, Ok(1..))) = port else { return Err(bad("does not name host:port")) };
        // Whatever is no address is no request line either.
        if text.parse::<http::Uri>().is_err() || text.contains(['@', '?', '#']) {
            return Err(bad("is no address"));
        }
        Ok(Self { authority: authority.to_owned(), path: path.trim_end_matches('/').to_owned() })
    }

    fn show(&self) -> String {
        format!("http://{}{}", self.authority, self.path)
    }

    fn allowed() -> String {
        "http://host:port, a path may follow".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_without_secrets_or_tls() {
        let endpoint = Endpoint::parse("http://[::1]:4318/base/").unwrap();
        assert_eq!((endpoint.authority.as_str(), endpoint.path.as_str()), ("[::1]:4318", "/base"));
        assert_eq!(Endpoint::parse(&endpoint.show()), Ok(endpoint));
        for text in [
            "",
            "localhost:4318",
            "https://h:4318",
            "http://h",
            "http://:4318",
            "http://h:0",
            "http://h:70000",
            "http://user:secret@h:4318",
            "http://h:4318/a b",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }
}
