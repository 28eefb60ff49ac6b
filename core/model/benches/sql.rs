//! What a SQL92 selector costs a message: nanoseconds of one evaluation over a property string as producers send it, and
//! of one compilation, on one core.
//!
//! `cargo bench -p ferromq-model` prints the best and the median of many short rounds, so that a busy machine shows.

use std::hint::black_box;
use std::time::Instant;

use ferromq_model::sql::Selector;

const ROUNDS: usize = 200;
const CALLS: u32 = 2_000;

const MESSAGE: &str = "UNIQ_KEY\x017F00000100002A139A5500000000000A\x02WAIT\x01true\x02TAGS\x01TagA\x02\
    region\x01hangzhou\x02price\x0149\x02weight\x011.25\x02KEYS\x01order-1234567\x02\
    MSG_REGION\x01DefaultRegion\x02TRACE_ON\x01true\x02CLUSTER\x01DefaultCluster\x02";

fn main() {
    for text in [
        "price > 10",
        "price BETWEEN 10 AND 50 AND region = 'hangzhou'",
        "region IN ('beijing', 'hangzhou', 'shanghai') AND weight < 2.5 OR TAGS = 'TagB'",
        "(price > 100 OR region STARTSWITH 'hang') AND missing IS NULL AND NOT (weight >= 2.0)",
    ] {
        let selector = Selector::parse(text).expect("it is one");
        assert!(selector.admits(MESSAGE), "{text}");
        let evaluated = time(|| {
            black_box(selector.admits(black_box(MESSAGE)));
        });
        let compiled = time(|| {
            black_box(Selector::parse(black_box(text)).is_ok());
        });
        println!("{text}");
        println!(
            "  evaluate {:.0} ({:.0}) ns, {:.1} million/s; compile {:.0} ({:.0}) ns",
            evaluated.0,
            evaluated.1,
            1e3 / evaluated.1,
            compiled.0,
            compiled.1
        );
    }
}

/// Nanoseconds of one call: the best round and the median one.
fn time(mut call: impl FnMut()) -> (f64, f64) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..CALLS).for_each(|_| call());
            start.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    (rounds[0], rounds[ROUNDS / 2])
}
