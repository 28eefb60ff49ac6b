//! What the disk allows: how long it takes to keep one more block at the end of a file.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use rustix::fs::FallocateFlags;
use serde::Serialize;

use super::Output;

/// `ferromq bench fsync`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Directory on the disk to measure
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Bytes of each block; the default is what 256 messages of 128 bytes take in the commit log
    #[arg(long, default_value_t = 256 * 330, value_parser = clap::value_parser!(u32).range(1..=64 << 20))]
    block_size: u32,
    /// Messages in a block, to tell the rate
    #[arg(long, default_value_t = 256)]
    messages: u32,
    /// Blocks to write
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// One way of preparing the file. Times are microseconds.
#[derive(Debug, Serialize)]
struct Times {
    file: &'static str,
    mean: f64,
    p50: f64,
    p99: f64,
    max: f64,
    messages_per_second: f64,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<()> {
    let allocated = measure(args, "allocated", false)?;
    let written = measure(args, "written before", true)?;
    for result in [allocated, written] {
        match args.output {
            Output::Json => println!("{}", serde_json::to_string(&result)?),
            Output::Text => println!(
                "fdatasync of {} bytes at a time, file {}\n  time       mean {:.0} µs, p50 {:.0}, p99 {:.0}, max {:.0}\n  \
                 allows     {:.0} messages/s with {} in flight",
                args.block_size,
                result.file,
                result.mean,
                result.p50,
                result.p99,
                result.max,
                result.messages_per_second,
                args.messages
            ),
        }
    }
    Ok(())
}

fn measure(args: &Args, file: &'static str, written: bool) -> Result<Times> {
    let path = args.dir.join(format!("ferromq-bench-fsync-{}", std::process::id()));
    let _remove = Remove(path.clone());
    let handle = File::options()
        .create_new(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("no file can be made in {}", args.dir.display()))?;
    let len = u64::from(args.block_size) * u64::from(args.count);
    rustix::fs::fallocate(&handle, FallocateFlags::empty(), 0, len).context("allocating the file")?;
    let block: Vec<u8> = (0..args.block_size).map(|i| i as u8).collect();
    let at = |i: u32| u64::from(i) * u64::from(args.block_size);
    if written {
        for i in 0..args.count {
            handle.write_all_at(&block, at(i))?;
        }
    }
    handle.sync_all()?;
    let mut times = Histogram::<u64>::new_with_max(60_000_000_000, 3).expect("constant bounds are valid");
    for i in 0..args.count {
        handle.write_all_at(&block, at(i))?;
        let began = Instant::now();
        handle.sync_data()?;
        times.saturating_record(began.elapsed().as_nanos() as u64);
    }
    let micros = |nanos: u64| nanos as f64 / 1000.0;
    let mean = times.mean() / 1000.0;
    Ok(Times {
        file,
        mean,
        p50: micros(times.value_at_quantile(0.5)),
        p99: micros(times.value_at_quantile(0.99)),
        max: micros(times.max()),
        messages_per_second: f64::from(args.messages) * 1e6 / mean,
    })
}

/// Removes the file whatever happens.
struct Remove(PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
