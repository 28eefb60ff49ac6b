//! Metrics as OTLP has them: what `/metrics` tells, less what is there for the official exporter's dashboards only.

use std::time::{Duration, SystemTime};

use ferromq_model::histogram::{CLASS_ENDS, Times};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::Identity;
use crate::metrics::sheet::{Family, Sample, Value};
use crate::metrics::table::{Kind, Origin, Section, TABLE};

/// One export of everything, counted since `started`.
pub(super) fn encode(families: &[Family], identity: &Identity, started: SystemTime) -> Vec<u8> {
    let span = Span { started: nanos(started), now: nanos(SystemTime::now()) };
    let metrics =
        families.iter().filter(|family| is_told(family)).map(|family| span.metric(family)).collect();
    let scope = InstrumentationScope {
        name: "ferromq".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let resource = Resource {
        attributes: identity.attributes().into_iter().map(|(key, value)| attribute(key, &value)).collect(),
        ..Resource::default()
    };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }],
            schema_url: String::new(),
        }],
    };
    request.encode_to_vec()
}

fn is_told(family: &Family) -> bool {
    let of = |section: &&Section| section.metrics.iter().any(|metric| metric.name == family.metric.name);
    TABLE.iter().find(of).is_some_and(|section| section.origin != Origin::Exporter)
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// What figures are about in time.
struct Span {
    started: u64,
    now: u64,
}

impl Span {
    fn metric(&self, family: &Family) -> Metric {
        let Family { metric, samples, .. } = family;
        let aggregation_temporality = AggregationTemporality::Cumulative as i32;
        let numbers = || samples.iter().map(|sample| self.number(metric.labels, sample)).collect();
        let data = match metric.kind {
            Kind::Gauge => metric::Data::Gauge(Gauge { data_points: numbers() }),
            Kind::Counter => {
                metric::Data::Sum(Sum { data_points: numbers(), aggregation_temporality, is_monotonic: true })
            }
            Kind::Histogram => {
                let data_points = samples.iter().map(|sample| self.times(metric.labels, sample)).collect();
                metric::Data::Histogram(Histogram { data_points, aggregation_temporality })
            }
        };
        Metric {
            name: metric.name.to_owned(),
            description: metric.help(),
            unit: unit(metric.name).to_owned(),
            metadata: Vec::new(),
            data: Some(data),
        }
    }

    fn number(&self, names: &[&str], sample: &Sample) -> NumberDataPoint {
        let Value::Number(number) = sample.value else { return NumberDataPoint::default() };
        NumberDataPoint {
            attributes: attributes(names, sample),
            start_time_unix_nano: self.started,
            time_unix_nano: self.now,
            value: Some(number_data_point::Value::AsDouble(number)),
            ..NumberDataPoint::default()
        }
    }

    fn times(&self, names: &[&str], sample: &Sample) -> HistogramDataPoint {
        let Value::Times(times) = &sample.value else { return HistogramDataPoint::default() };
        let Times { counts, nanos } = &**times;
        HistogramDataPoint {
            attributes: attributes(names, sample),
            start_time_unix_nano: self.started,
            time_unix_nano: self.now,
            count: times.count(),
            sum: Some(*nanos as f64 / 1e9),
            bucket_counts: counts.to_vec(),
            explicit_bounds: CLASS_ENDS.iter().map(|&end| end as f64 / 1e9).collect(),
            ..HistogramDataPoint::default()
        }
    }
}

fn attributes(names: &[&str], sample: &Sample) -> Vec<KeyValue> {
    names.iter().zip(&sample.labels).map(|(name, value)| attribute(name, value)).collect()
}

/// The unit that a name ends with, as OTLP writes it.
fn unit(name: &str) -> &'static str {
    let name = name.trim_end_matches("_total");
    if name.ends_with("_seconds") {
        "s"
    } else if name.ends_with("_bytes") || name.contains("_bytes_") {
        "By"
    } else {
        ""
    }
}
