//! What came out, server beside server.

use crate::server::Kind;

/// The values of all rounds, by what they are and of which server.
pub(crate) struct Table {
    kinds: Vec<Kind>,
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    digits: usize,
    values: Vec<(Kind, f64)>,
}

impl Row {
    fn of(&self, kind: Kind) -> Vec<f64> {
        let mut values: Vec<f64> =
            self.values.iter().filter(|(of, _)| *of == kind).map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn show(&self, kind: Kind) -> String {
        let (values, digits) = (self.of(kind), self.digits);
        match (values.first(), values.last()) {
            (Some(least), Some(most)) => {
                let median = values[values.len() / 2];
                format!("**{median:.digits$}** ({least:.digits$} – {most:.digits$})")
            }
            _ => String::new(),
        }
    }

    /// How often the peer's median goes into ours.
    fn ratio(&self, ours: Kind) -> String {
        let (ours, peer) = (self.of(ours), self.of(Kind::Mosquitto));
        if ours.is_empty() || peer.is_empty() {
            return String::new();
        }
        format!("{:.2}", ours[ours.len() / 2] / peer[peer.len() / 2])
    }
}

impl Table {
    pub(crate) fn new(kinds: &[Kind]) -> Self {
        Self { kinds: kinds.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn put(&mut self, name: &'static str, digits: usize, kind: Kind, value: f64) {
        eprintln!("    {name}: {value:.digits$}");
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.values.push((kind, value)),
            None => self.rows.push(Row { name, digits, values: vec![(kind, value)] }),
        }
    }

    pub(crate) fn print(&self) {
        let titles: Vec<_> = self.kinds.iter().map(|kind| kind.title()).collect();
        println!("| | {} | async : mosquitto | sync : mosquitto |", titles.join(" | "));
        println!("|---|{}---|---|", "---|".repeat(titles.len()));
        for row in &self.rows {
            let values: Vec<_> = self.kinds.iter().map(|kind| row.show(*kind)).collect();
            let (flowing, flushed) = (row.ratio(Kind::Async), row.ratio(Kind::Sync));
            println!("| {} | {} | {flowing} | {flushed} |", row.name, values.join(" | "));
        }
    }
}
