//! Evaluating SQL92 filters: how many messages a second one core decides on, and how many it could at most, whose
//! property strings it only walks through.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use ferromq_model::message::iter_properties;
use ferromq_model::sql::Selector;
use serde::Serialize;

use super::Output;

/// Evaluations between two looks at the clock.
const CALLS: u32 = 2_000;
/// The properties of a message as producers send and brokers store them.
const MESSAGE: &str = "UNIQ_KEY\x017F00000100002A139A5500000000000A\x02WAIT\x01true\x02TAGS\x01TagA\x02\
    region\x01hangzhou\x02price\x0149\x02weight\x011.25\x02KEYS\x01order-1234567\x02\
    MSG_REGION\x01DefaultRegion\x02TRACE_ON\x01true\x02CLUSTER\x01DefaultCluster\x02";
/// Expressions that the message passes, with names for reports.
const EXPRESSIONS: [(&str, &str); 4] = [
    ("one comparison", "price > 10"),
    ("a range and a text", "price BETWEEN 10 AND 50 AND region = 'hangzhou'"),
    ("a list or a tag", "region IN ('beijing', 'hangzhou', 'shanghai') AND weight < 2.5 OR TAGS = 'TagB'"),
    (
        "nested with a missing property",
        "(price > 100 OR region STARTSWITH 'hang') AND missing IS NULL AND NOT (weight >= 2.0)",
    ),
];

/// `ferromq bench filter`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds for each expression
    #[arg(long, default_value_t = 2.0, value_parser = super::seconds)]
    duration: f64,
    /// Measures this expression instead of those that are built in; the message has `region`, `price`, `weight`, `TAGS`
    #[arg(long)]
    expression: Option<String>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What one expression showed, on one core.
#[derive(Debug, Serialize)]
struct Report<'a> {
    name: &'a str,
    expression: &'a str,
    /// Evaluations a second: the median of short rounds.
    per_second: f64,
    nanos: f64,
    /// Property strings a second that are read through without a question.
    floor_per_second: f64,
}

/// Measures each expression and prints it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let own = args.expression.as_deref().map(|text| [("given", text)]);
    let expressions = own.as_ref().map_or(&EXPRESSIONS[..], |own| &own[..]);
    let time = Duration::from_secs_f64(args.duration.max(0.01));
    let floor = nanos(time / 4, || {
        black_box(
            iter_properties(black_box(MESSAGE)).map(|(name, value)| name.len() + value.len()).sum::<usize>(),
        );
    });
    for &(name, expression) in expressions {
        let selector = match Selector::parse(expression) {
            Ok(selector) => selector,
            Err(error) => bail!("{expression}: {error}"),
        };
        let nanos = nanos(time, || {
            black_box(selector.admits(black_box(MESSAGE)));
        });
        let report =
            Report { name, expression, per_second: 1e9 / nanos, nanos, floor_per_second: 1e9 / floor };
        match args.output {
            Output::Json => println!("{}", serde_json::to_string(&report)?),
            Output::Text => println!(
                "{expression}\n  {:.1} million evaluations/s on one core, {nanos:.0} ns each; the floor is {:.1} million/s",
                report.per_second / 1e6,
                report.floor_per_second / 1e6
            ),
        }
    }
    Ok(())
}

/// Nanoseconds of one call, the median of as many rounds as fit into `time`.
fn nanos(time: Duration, mut call: impl FnMut()) -> f64 {
    let mut rounds = Vec::new();
    let began = Instant::now();
    while rounds.is_empty() || began.elapsed() < time {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        rounds.push(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_passes_each_expression_so_that_all_of_it_is_evaluated() {
        for (name, expression) in EXPRESSIONS {
            assert!(Selector::parse(expression).unwrap().admits(MESSAGE), "{name}");
        }
    }
}
