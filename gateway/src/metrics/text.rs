//! Prometheus's text format, version 0.0.4.
//!
//! Written by hand, as it is one function: crates for it own their metrics, or write OpenMetrics, which gives every
//! counter a name ending in `_total` whatever the dashboards of RocketMQ's users ask for.

use std::fmt::Write as _;

use ferromq_model::histogram::{CLASS_ENDS, Times};

use super::sheet::{Family, Sample, Value};

/// What HTTP calls the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All families, each with its help and type.
#[must_use]
pub fn encode(families: &[Family]) -> String {
    let mut out = String::new();
    for Family { metric, samples, .. } in families {
        let help = escape(&metric.help(), false);
        let _ = writeln!(out, "# HELP {} {help}", metric.name);
        let _ = writeln!(out, "# TYPE {} {}", metric.name, metric.kind.name());
        for Sample { labels, value } in samples {
            let pairs = metric.labels.iter().zip(labels);
            let labels: Vec<_> =
                pairs.map(|(name, value)| format!("{name}=\"{}\"", escape(value, true))).collect();
            match value {
                Value::Number(number) => {
                    let _ = writeln!(out, "{}{} {number}", metric.name, braces(&labels));
                }
                Value::Times(times) => histogram(&mut out, metric.name, &labels, times),
            }
        }
    }
    out
}

fn braces(labels: &[String]) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
}

fn histogram(out: &mut String, name: &str, labels: &[String], times: &Times) {
    let ends = CLASS_ENDS.map(|nanos| (nanos as f64 / 1e9).to_string());
    let ends = ends.into_iter().chain(["+Inf".to_owned()]);
    let mut upto = 0;
    for (end, count) in ends.zip(times.counts) {
        upto += count;
        let labels: Vec<_> = labels.iter().cloned().chain([format!("le=\"{end}\"")]).collect();
        let _ = writeln!(out, "{name}_bucket{} {upto}", braces(&labels));
    }
    let labels = braces(labels);
    let _ = writeln!(out, "{name}_sum{labels} {}", times.nanos as f64 / 1e9);
    let _ = writeln!(out, "{name}_count{labels} {upto}");
}

fn escape(text: &str, quote: bool) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quote { escaped.replace('"', "\\\"") } else { escaped }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ferromq_model::histogram::Histogram;

    use super::*;
    use crate::metrics::sheet::Sheet;
    use crate::metrics::table;

    #[test]
    fn the_format_is_prometheuss() {
        let mut sheet = Sheet::default();
        let times = Histogram::default();
        times.took(Duration::from_micros(40), 3);
        times.took(Duration::from_secs(20), 1);
        sheet.put(&table::PUT_SECONDS, &[], times.reading());
        sheet.put(&table::CONNECTIONS, &["a \"b\" \\ \n"], 5u64);
        let text = encode(&sheet.families());
        for line in [
            "# TYPE ferromq_connections gauge",
            r#"ferromq_connections{protocol="a \"b\" \\ \n"} 5"#,
            "# TYPE ferromq_put_seconds histogram",
            r#"ferromq_put_seconds_bucket{le="0.0000005"} 0"#,
            r#"ferromq_put_seconds_bucket{le="0.000025"} 0"#,
            r#"ferromq_put_seconds_bucket{le="0.00005"} 3"#,
            r#"ferromq_put_seconds_bucket{le="10"} 3"#,
            r#"ferromq_put_seconds_bucket{le="+Inf"} 4"#,
            "ferromq_put_seconds_sum 20.00012",
            "ferromq_put_seconds_count 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
