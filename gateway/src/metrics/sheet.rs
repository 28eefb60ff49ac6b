//! What one look at all figures found, before it is written in any format.
//!
//! Always true:
//! * a metric has at most [`MAX_SERIES`] samples, whatever clients come up with as names; what is left out is counted;
//! * a sample has exactly the labels that the table names.

use std::collections::BTreeMap;

use ferromq_model::histogram::Times;

use super::table::{self, Metric};

/// Samples of one metric that are told at most.
pub const MAX_SERIES: usize = 2_000;

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A gauge's, or a counter's.
    Number(f64),
    /// A histogram's.
    Times(Box<Times>),
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl From<$number> for Value {
            fn from(number: $number) -> Self {
                Self::Number(number as f64)
            }
        })*
    };
}

numbers!(f64, u64, i64, u32, i32, usize);

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Number(f64::from(u8::from(yes)))
    }
}

impl From<Times> for Value {
    fn from(times: Times) -> Self {
        Self::Times(Box::new(times))
    }
}

/// A figure, and what it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Values of the metric's labels, in its order.
    pub labels: Vec<String>,
    /// The figure.
    pub value: Value,
}

/// All samples of one metric.
#[derive(Clone, Debug)]
pub struct Family {
    /// The metric.
    pub metric: &'static Metric,
    /// Its samples, in the order that they were put in.
    pub samples: Vec<Sample>,
    left_out: u64,
}

/// Puts figures into a sheet whose first labels are the same for all of them.
pub struct Scope<'a> {
    sheet: &'a mut Sheet,
    labels: Vec<&'a str>,
}

impl Scope<'_> {
    /// As [`Sheet::put`], with the labels behind those that all have.
    pub fn put(&mut self, metric: &'static Metric, labels: &[&str], value: impl Into<Value>) {
        let all: Vec<&str> = self.labels.iter().chain(labels).copied().collect();
        self.sheet.put(metric, &all, value);
    }
}

/// All figures.
#[derive(Debug, Default)]
pub struct Sheet(BTreeMap<&'static str, Family>);

impl Sheet {
    /// Puts a figure in. `labels` are values of the metric's labels, in its order.
    pub fn put(&mut self, metric: &'static Metric, labels: &[&str], value: impl Into<Value>) {
        let family = self.family(metric);
        if family.samples.len() >= MAX_SERIES {
            family.left_out += 1;
            return;
        }
        debug_assert_eq!(labels.len(), metric.labels.len(), "labels of {}", metric.name);
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        family.samples.push(Sample { labels, value: value.into() });
    }

    /// For figures that share their first labels.
    pub fn scope<'a>(&'a mut self, labels: &[&'a str]) -> Scope<'a> {
        Scope { sheet: self, labels: labels.to_vec() }
    }

    /// Notes that figures were not even collected because there are too many.
    pub fn leave_out(&mut self, metric: &'static Metric, count: u64) {
        self.family(metric).left_out += count;
    }

    fn family(&mut self, metric: &'static Metric) -> &mut Family {
        let empty = || Family { metric, samples: Vec::new(), left_out: 0 };
        self.0.entry(metric.name).or_insert_with(empty)
    }

    /// All metrics that have samples, by name. How many samples were left out is one of them.
    #[must_use]
    pub fn families(mut self) -> Vec<Family> {
        let left_out: u64 = self.0.values().map(|family| family.left_out).sum();
        self.put(&table::SERIES_LEFT_OUT, &[], left_out);
        self.0.into_values().filter(|family| !family.samples.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_left_out_and_counted() {
        let mut sheet = Sheet::default();
        for n in 0..MAX_SERIES + 3 {
            sheet.put(&table::CONNECTIONS, &[&n.to_string()], n);
        }
        sheet.leave_out(&table::CONNECTIONS, 4);
        let families = sheet.families();
        let family =
            |metric: &Metric| families.iter().find(|family| family.metric.name == metric.name).unwrap();
        assert_eq!(family(&table::CONNECTIONS).samples.len(), MAX_SERIES);
        assert_eq!(family(&table::SERIES_LEFT_OUT).samples[0].value, Value::Number(7.0));
    }
}
