//! Rates of two samples: as tables, as text, as JSON.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::sample::{Counted, Sample};

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// The busiest first.
    #[default]
    Rate,
    /// Groups that are furthest behind first, and the largest topics.
    Held,
    /// By name.
    Name,
}

/// What happened between two samples.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    pub(super) brokers: Vec<BrokerRow>,
    pub(super) topics: Vec<TopicRow>,
    pub(super) groups: Vec<GroupRow>,
    pub(super) failures: Vec<String>,
}

/// A broker. Rates are messages a second.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BrokerRow {
    pub(super) broker: Arc<str>,
    pub(super) id: u64,
    pub(super) addr: Arc<str>,
    pub(super) version: String,
    pub(super) in_per_second: f64,
    pub(super) out_per_second: f64,
    /// From 0 to 1.
    pub(super) disk_used: Option<f64>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TopicRow {
    pub(super) topic: String,
    pub(super) in_per_second: f64,
    /// What all groups together committed.
    pub(super) out_per_second: f64,
    /// That it holds.
    pub(super) messages: u64,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupRow {
    pub(super) group: String,
    pub(super) topics: Vec<String>,
    pub(super) out_per_second: f64,
    pub(super) lag: u64,
}

/// A table to be shown.
pub(super) struct Table {
    pub(super) header: &'static [&'static str],
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// Columns of numbers, which are aligned to the right: they end in these.
    pub(super) fn is_number(&self, column: usize) -> bool {
        ["IN/S", "OUT/S", "MESSAGES", "LAG", "DISK"].contains(&self.header[column])
    }

    /// How wide each column is.
    pub(super) fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.header[column].len()]).max().unwrap_or(0)
        };
        (0..self.header.len()).map(width).collect()
    }
}

impl View {
    /// What happened from one sample to the other.
    pub(super) fn between(before: &Sample, now: &Sample, sort: Sort) -> Self {
        let brokers = now.brokers.iter().map(|(node, of)| {
            let earlier = before.brokers.get(node);
            let total = |now: &Counted<()>, before: Option<&Counted<()>>| {
                before.map_or(0.0, |before| now.rate_since(before, |()| true))
            };
            BrokerRow {
                broker: Arc::clone(&node.name),
                id: node.id,
                addr: Arc::clone(&node.addr),
                version: of.version.clone(),
                in_per_second: total(&of.puts, earlier.map(|earlier| &earlier.puts)),
                out_per_second: total(&of.gets, earlier.map(|earlier| &earlier.gets)),
                disk_used: of.disk_used,
            }
        });
        let topics = now.topics.iter().map(|(topic, of)| {
            let consumed = now.groups.iter().filter_map(|(group, now)| {
                let before = before.groups.get(group)?;
                Some(now.positions.rate_since(&before.positions, |queue| queue.topic.as_str() == topic))
            });
            let earlier = before.topics.get(topic);
            TopicRow {
                topic: topic.clone(),
                in_per_second: earlier.map_or(0.0, |earlier| of.ends.rate_since(&earlier.ends, |_| true)),
                // A sum of nothing is -0.
                out_per_second: consumed.fold(0.0, |sum, rate| sum + rate),
                messages: of.messages,
            }
        });
        let groups = now.groups.iter().map(|(group, of)| {
            let topics: BTreeSet<_> = of.positions.counts.keys().map(|queue| &queue.topic).collect();
            let earlier = before.groups.get(group);
            GroupRow {
                group: group.clone(),
                topics: topics
                    .into_iter()
                    .filter(|topic| !topic.is_derived())
                    .map(ToString::to_string)
                    .collect(),
                out_per_second: earlier
                    .map_or(0.0, |earlier| of.positions.rate_since(&earlier.positions, |_| true)),
                lag: of.lag,
            }
        });
        let mut view = Self {
            brokers: brokers.collect(),
            topics: topics.collect(),
            groups: groups.collect(),
            failures: now.failures.iter().cloned().collect(),
        };
        view.sort(sort);
        view
    }

    /// Sorts every table. Rows that are equal in it are sorted by name.
    pub(super) fn sort(&mut self, by: Sort) {
        let descending = |a: f64, b: f64| b.total_cmp(&a);
        self.brokers.sort_by(|a, b| {
            let names = || (&a.broker, a.id).cmp(&(&b.broker, b.id));
            match by {
                Sort::Rate => {
                    descending(a.in_per_second + a.out_per_second, b.in_per_second + b.out_per_second)
                }
                Sort::Held => descending(a.disk_used.unwrap_or(0.0), b.disk_used.unwrap_or(0.0)),
                Sort::Name => Ordering::Equal,
            }
            .then_with(names)
        });
        self.topics.sort_by(|a, b| {
            match by {
                Sort::Rate => {
                    descending(a.in_per_second + a.out_per_second, b.in_per_second + b.out_per_second)
                }
                Sort::Held => b.messages.cmp(&a.messages),
                Sort::Name => Ordering::Equal,
            }
            .then_with(|| a.topic.cmp(&b.topic))
        });
        self.groups.sort_by(|a, b| {
            match by {
                Sort::Rate => descending(a.out_per_second, b.out_per_second),
                Sort::Held => b.lag.cmp(&a.lag),
                Sort::Name => Ordering::Equal,
            }
            .then_with(|| a.group.cmp(&b.group))
        });
    }

    pub(super) fn broker_table(&self) -> Table {
        let row = |row: &BrokerRow| {
            // Replicas have their master's name.
            let name = match row.id {
                0 => row.broker.to_string(),
                id => format!("{}:{id}", row.broker),
            };
            let disk = row.disk_used.map_or_else(|| "-".to_owned(), |used| format!("{:.0}%", used * 100.0));
            vec![
                name,
                rate(row.in_per_second),
                rate(row.out_per_second),
                disk,
                row.addr.to_string(),
                row.version.clone(),
            ]
        };
        Table {
            header: &["BROKER", "IN/S", "OUT/S", "DISK", "ADDRESS", "VERSION"],
            rows: self.brokers.iter().map(row).collect(),
        }
    }

    pub(super) fn topic_table(&self) -> Table {
        let row = |row: &TopicRow| {
            vec![
                row.topic.clone(),
                rate(row.in_per_second),
                rate(row.out_per_second),
                row.messages.to_string(),
            ]
        };
        Table { header: &["TOPIC", "IN/S", "OUT/S", "MESSAGES"], rows: self.topics.iter().map(row).collect() }
    }

    pub(super) fn group_table(&self) -> Table {
        let row = |row: &GroupRow| {
            vec![row.group.clone(), rate(row.out_per_second), row.lag.to_string(), row.topics.join(" ")]
        };
        Table { header: &["GROUP", "OUT/S", "LAG", "TOPICS"], rows: self.groups.iter().map(row).collect() }
    }

    /// The tables one below the other.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for table in [self.broker_table(), self.topic_table(), self.group_table()] {
            let widths = table.widths();
            let header = table.header.iter().map(|name| (*name).to_owned()).collect();
            for row in std::iter::once(&header).chain(&table.rows) {
                let cells = row.iter().enumerate().map(|(column, cell)| {
                    let width = widths[column];
                    if table.is_number(column) {
                        format!("{cell:>width$}")
                    } else {
                        format!("{cell:<width$}")
                    }
                });
                let line = cells.collect::<Vec<_>>().join("  ");
                text.push_str(line.trim_end());
                text.push('\n');
            }
            text.push('\n');
        }
        for failure in &self.failures {
            let _ = writeln!(text, "! {failure}");
        }
        text
    }
}

/// A rate as people read it: what is less than ten has a digit more.
fn rate(rate: f64) -> String {
    if rate > 0.0 && rate < 9.95 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use ferromq_client::MessageQueue;
    use ferromq_client::admin::BrokerNode;
    use ferromq_model::{QueueId, TopicName};

    use super::super::sample::{BrokerSample, GroupSample, TopicSample};
    use super::*;

    fn queue(topic: &str, id: u32) -> MessageQueue {
        MessageQueue { topic: TopicName::new(topic).unwrap(), broker: "b".into(), id: QueueId(id) }
    }

    fn sample(
        at: Instant,
        put: u64,
        topics: &[(&str, [u64; 2])],
        groups: &[(&str, &str, [u64; 2], u64)],
    ) -> Sample {
        let counted = |topic: &str, counts: [u64; 2]| {
            let counts = counts.iter().enumerate().map(|(id, count)| (queue(topic, id as u32), *count));
            Counted { at, counts: counts.collect() }
        };
        let node = BrokerNode { cluster: "c".into(), name: "b".into(), id: 0, addr: "b:1".into() };
        let total = |count| Counted { at, counts: BTreeMap::from([((), count)]) };
        let broker =
            BrokerSample { version: "V5".to_owned(), disk_used: Some(0.5), puts: total(put), gets: total(0) };
        Sample {
            brokers: BTreeMap::from([(node, broker)]),
            topics: topics
                .iter()
                .map(|(topic, ends)| {
                    let ends = counted(topic, *ends);
                    let messages = ends.counts.values().sum();
                    ((*topic).to_owned(), TopicSample { ends, messages })
                })
                .collect(),
            groups: groups
                .iter()
                .map(|(group, topic, positions, lag)| {
                    let of = GroupSample { positions: counted(topic, *positions), lag: *lag };
                    ((*group).to_owned(), of)
                })
                .collect(),
            failures: BTreeSet::new(),
        }
    }

    #[test]
    fn rates_are_what_was_counted_in_the_time_between() {
        let begin = Instant::now();
        let before = sample(
            begin,
            100,
            &[("Busy", [10, 10]), ("Quiet", [500, 0])],
            &[("behind", "Busy", [0, 0], 20), ("moved-back", "Quiet", [400, 0], 100)],
        );
        let now = sample(
            begin + Duration::from_secs(2),
            140,
            &[("Busy", [30, 30]), ("Quiet", [500, 0]), ("New", [7, 0])],
            &[("behind", "Busy", [6, 0], 54), ("moved-back", "Quiet", [0, 0], 500)],
        );
        let mut view = View::between(&before, &now, Sort::Rate);
        assert_eq!((view.brokers[0].in_per_second, view.brokers[0].out_per_second), (20.0, 0.0));
        let topics: Vec<_> =
            view.topics.iter().map(|row| (&*row.topic, row.in_per_second, row.out_per_second)).collect();
        assert_eq!(topics, [("Busy", 20.0, 3.0), ("New", 0.0, 0.0), ("Quiet", 0.0, 0.0)]);
        let groups = |view: &View| {
            view.groups.iter().map(|row| (row.group.clone(), row.out_per_second, row.lag)).collect::<Vec<_>>()
        };
        assert_eq!(groups(&view), [("behind".into(), 3.0, 54), ("moved-back".into(), 0.0, 500)]);
        view.sort(Sort::Held);
        assert_eq!(groups(&view), [("moved-back".into(), 0.0, 500), ("behind".into(), 3.0, 54)]);
        assert_eq!(view.topics[0].topic, "Quiet");
        assert!(!view.text().contains("-0"), "nobody consumes New: {}", view.text());
    }

    #[test]
    fn text_has_a_table_for_each_kind_with_numbers_to_the_right() {
        let begin = Instant::now();
        let of = |at, put| sample(at, put, &[("T", [put, 0])], &[("group", "T", [1, 0], 9)]);
        let view = View::between(&of(begin, 0), &of(begin + Duration::from_secs(1), 12_345), Sort::default());
        assert_eq!(
            view.text(),
            "BROKER   IN/S  OUT/S  DISK  ADDRESS  VERSION\n\
             b       12345      0   50%  b:1      V5\n\
             \n\
             TOPIC   IN/S  OUT/S  MESSAGES\n\
             T      12345      0     12345\n\
             \n\
             GROUP  OUT/S  LAG  TOPICS\n\
             group      0    9  T\n\
             \n"
        );
    }
}
