//! Figures of the process, from `/proc/self`. What the system does not tell is left out.

use std::fs;
use std::path::Path;

use super::sheet::Sheet;
use super::table;

/// Puts them in.
pub(super) fn collect(sheet: &mut Sheet) {
    let Some(stat) = Stat::read() else { return };
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    sheet.put(&table::CPU, &[], stat.cpu_ticks as f64 / ticks);
    sheet.put(&table::THREADS, &[], stat.threads);
    sheet.put(&table::VIRTUAL, &[], stat.virtual_bytes);
    sheet.put(&table::RESIDENT, &[], stat.resident_pages * rustix::param::page_size() as u64);
    if let Some(booted) = booted() {
        sheet.put(&table::STARTED, &[], booted as f64 + stat.started_ticks as f64 / ticks);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The directory itself is open while it is read.
        sheet.put(&table::OPEN_FDS, &[], open.count().saturating_sub(1));
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        sheet.put(&table::MAX_FDS, &[], most);
    }
}

/// Bytes of memory in use, mapped files included.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    Some(Stat::read()?.resident_pages * rustix::param::page_size() as u64)
}

/// Fields of `/proc/self/stat`, as proc(5) numbers them.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    started_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name of the program may hold anything; it ends with the last bracket, and the third field follows.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            started_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// When the machine started, in seconds since 1970.
fn booted() -> Option<u64> {
    let stat = fs::read_to_string(Path::new("/proc/stat")).ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_name_does_not_confuse_the_fields() {
        let text = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 100 20 0 0 20 0 5 0 900 4096 12 99";
        let stat = Stat::parse(text).unwrap();
        let expected =
            Stat { cpu_ticks: 120, threads: 5, started_ticks: 900, virtual_bytes: 4096, resident_pages: 12 };
        assert_eq!(stat, expected);
        assert_eq!(Stat::parse("7 (a) S 1"), None);
    }
}
