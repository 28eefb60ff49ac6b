//! The comparison of two runs of the script, and the table that it makes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::answer::Answer;
use super::driver::Run;
use super::step::{Difference, Kind, Refusal, Step};

/// How a subcommand, or a call, came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Same,
    Different,
    NotSupported,
}

/// What is known of each subcommand and each call.
#[derive(Debug)]
pub struct Table {
    rows: BTreeMap<(u8, String), (Verdict, BTreeSet<String>)>,
    /// What differs and is accepted: an example of each, with the reason.
    pub accepted: Vec<String>,
    /// What differs and is not accepted, and what is accepted and does not differ any more.
    pub faults: Vec<String>,
}

impl Table {
    /// What the script says, before it is shown to be true.
    pub(super) fn of(script: &[Step]) -> Self {
        let mut table = Self { rows: BTreeMap::new(), accepted: Vec::new(), faults: Vec::new() };
        for step in script {
            let kind = match step.kind {
                Kind::Mqadmin => 0,
                Kind::Admin => 1,
                Kind::World => continue,
            };
            let row =
                table.rows.entry((kind, step.name().to_owned())).or_insert((Verdict::Same, BTreeSet::new()));
            for difference in &step.differs {
                row.0 = row.0.max(Verdict::Different);
                row.1.insert(difference.why.to_owned());
            }
            if let Some(refusal) = step.unsupported {
                row.0 = Verdict::NotSupported;
                row.1.insert(refusal.why.to_owned());
            }
        }
        table
    }

    /// The names that have a row, with what is known of them.
    pub(super) fn rows(&self, kind: Kind) -> impl Iterator<Item = (&str, Verdict, String)> {
        let wanted = u8::from(kind != Kind::Mqadmin);
        self.rows.iter().filter(move |((kind, _), _)| *kind == wanted).map(|((_, name), (verdict, why))| {
            (name.as_str(), *verdict, why.iter().cloned().collect::<Vec<_>>().join("; "))
        })
    }

    /// How many subcommands, or calls, came out how: same, different, not supported.
    pub fn totals(&self, kind: Kind) -> (usize, usize, usize) {
        let count = |wanted| self.rows(kind).filter(|(_, verdict, _)| *verdict == wanted).count();
        (count(Verdict::Same), count(Verdict::Different), count(Verdict::NotSupported))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Same => "same",
            Verdict::Different => "different",
            Verdict::NotSupported => "not supported",
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, kind) in [("subcommands", Kind::Mqadmin), ("calls of the admin API", Kind::Admin)] {
            for (name, verdict, why) in self.rows(kind) {
                writeln!(f, "{name:<34} {:<14} {why}", verdict.to_string())?;
            }
            let (same, different, not_supported) = self.totals(kind);
            writeln!(f, "{what}: {same} same, {different} different, {not_supported} not supported\n")?;
        }
        Ok(())
    }
}

/// Compares what both servers answered to the script.
pub fn compare(script: &[Step], official: &Run, ours: &Run) -> Table {
    let mut table = Table::of(script);
    for registered in &official.subcommands {
        if !script.iter().any(|step| step.kind == Kind::Mqadmin && step.name() == registered) {
            table
                .faults
                .push(format!("the tool has a subcommand `{registered}`, which the script does not run"));
        }
    }
    let mut differ = BTreeMap::<&Difference, Vec<String>>::new();
    let mut refused = BTreeSet::new();
    for (index, step) in script.iter().enumerate() {
        let told = judge(step, &official.answers[index], &ours.answers[index]);
        let named = |what: String| format!("{index} `{}`: {what}", step.line);
        table.faults.extend(told.faults.into_iter().map(named));
        for (what, difference) in told.accepted {
            differ.entry(difference).or_default().push(named(what));
        }
        refused.extend(told.refused);
    }
    table.faults.extend(no_longer_so(script, &differ.keys().copied().collect(), &refused));
    let told = |(difference, met): (&Difference, Vec<String>)| {
        format!("{} ({}; {} such)", met[0], difference.why, met.len())
    };
    table.accepted = differ.into_iter().map(told).collect();
    table
}

/// What is accepted and was not met in any step: it is to be taken out, or else the page says what is not so.
fn no_longer_so(
    script: &[Step],
    differ: &BTreeSet<&'static Difference>,
    refused: &BTreeSet<&'static Refusal>,
) -> Vec<String> {
    let accepted: BTreeSet<&Difference> =
        script.iter().flat_map(|step| step.differs.iter().copied()).collect();
    let refusals: BTreeSet<&Refusal> = script.iter().filter_map(|step| step.unsupported).collect();
    let differ =
        accepted.difference(differ).map(|it| format!("`{}`: no longer so: differs in {:?}", it.of, it.part));
    let refused = refusals.difference(refused).map(|it| format!("`{}`: no longer so: refused", it.of));
    differ.chain(refused).collect()
}

/// What is to say about the answers to one step.
#[derive(Debug, Default)]
struct Told {
    accepted: Vec<(String, &'static Difference)>,
    faults: Vec<String>,
    refused: Option<&'static Refusal>,
}

fn judge(step: &Step, official: &Answer, ours: &Answer) -> Told {
    let found = if step.kind == Kind::World {
        let broken = [("official", official), ("ours", ours)]
            .into_iter()
            .filter(|(_, answer)| answer.state != "done")
            .map(|(whose, answer)| format!("{} on {whose}: {}", answer.state, answer.lines.join("\n")));
        let shown = step.line.starts_with("show ").then(|| differences(step, official, ours));
        broken.chain(shown.into_iter().flatten()).collect()
    } else {
        differences(step, official, ours)
    };
    let mut told = Told::default();
    if step.unsupported.is_some() && ours.is_not_supported() && !official.is_not_supported() {
        told.refused = step.unsupported;
        return told;
    }
    for difference in found {
        let accepted: Vec<_> = step.differs.iter().filter(|it| difference.contains(it.part)).collect();
        if accepted.is_empty() {
            told.faults.push(difference.clone());
        }
        told.accepted.extend(accepted.into_iter().map(|it| (difference.clone(), *it)));
    }
    told
}

fn differences(step: &Step, official: &Answer, ours: &Answer) -> Vec<String> {
    let (theirs, mine) = (official.fields(step), ours.fields(step));
    let names: BTreeSet<&String> = theirs.keys().chain(mine.keys()).collect();
    let mut found: Vec<String> = names
        .into_iter()
        .filter(|name| theirs.get(*name) != mine.get(*name))
        .map(|name| {
            let show =
                |value: Option<&String>| value.map_or("nothing".to_owned(), |value| format!("`{value}`"));
            format!("{name}: official {}, ours {}", show(theirs.get(name)), show(mine.get(name)))
        })
        .collect();
    if found.is_empty() && official.order(step) != ours.order(step) {
        found.push(format!(
            "the order of lines: official\n{}\nours\n{}",
            official.lines.join("\n"),
            ours.lines.join("\n")
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::step::{Layout, mqadmin};
    use super::*;

    fn answer(lines: &[&str]) -> Answer {
        Answer { state: "done".to_owned(), lines: lines.iter().map(|line| (*line).to_owned()).collect() }
    }

    static BECAUSE: Difference = Difference { of: "x", part: "b:", why: "because" };
    static NOT_YET: Refusal = Refusal { of: "x", why: "not yet" };

    fn run(answer: Answer) -> Run {
        Run { subcommands: vec!["x".to_owned()], answers: vec![answer], stall: Duration::ZERO }
    }

    #[test]
    fn a_difference_is_a_fault_until_it_is_accepted() {
        let step = || mqadmin("x").layout(Layout::Pairs);
        let accepting = Step { differs: vec![&BECAUSE], ..step() };
        let (official, ours) = (run(answer(&["a = 1", "b = 2"])), run(answer(&["a = 1", "b = 3"])));
        assert_eq!(compare(&[step()], &official, &ours).faults, ["0 `x`: b: official `2`, ours `3`"]);
        assert!(compare(&[accepting], &official, &ours).faults.is_empty());
    }

    #[test]
    fn an_accepted_difference_that_is_none_is_a_fault() {
        let same = run(answer(&["a = 1"]));
        let step = Step { differs: vec![&BECAUSE], ..mqadmin("x").layout(Layout::Pairs) };
        assert_eq!(compare(&[step], &same, &same).faults, ["`x`: no longer so: differs in \"b:\""]);
    }

    #[test]
    fn not_supported_means_refused_with_the_code_for_it() {
        let step = [Step { unsupported: Some(&NOT_YET), ..mqadmin("x") }];
        let refused = run(answer(&["! MQClientException: CODE: 3 "]));
        let done = run(answer(&["done"]));
        assert!(compare(&step, &done, &refused).faults.is_empty());
        assert_eq!(compare(&step, &done, &done).faults, ["`x`: no longer so: refused"]);
        assert_eq!(compare(&step, &done, &run(answer(&["not done"]))).faults.len(), 3);
    }

    #[test]
    fn lines_in_another_order_differ() {
        let step = mqadmin("x");
        assert_eq!(judge(&step, &answer(&["a", "b"]), &answer(&["b", "a"])).faults.len(), 1);
        let step = step.layout(Layout::Sorted);
        assert!(judge(&step, &answer(&["a", "b"]), &answer(&["b", "a"])).faults.is_empty());
    }
}
