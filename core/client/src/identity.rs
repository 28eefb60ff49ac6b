//! Who we are: client ids as official clients build them, and unique ids of messages.
//!
//! ```text
//! client id    10.0.0.7@4711#81234567890123[@unit][@STICKY]     address @ instance
//!
//! unique id    0A000007  1267    9C3E5A70     02BF4D51     0003
//!              address   pid     ours         time         counter     upper-case hex, 32 digits (IPv6: 56)
//! ```
//! Client ids decide how a group shares its queues, so two clients of a group must never have the same.
//!
//! Always true of the ids of one [`UniqueIds`]:
//! * no two are equal, however many are made a millisecond, by however many threads, whatever the clock does;
//! * the time is the milliseconds since the month began, and never earlier than the clock said when the id was made.
//!   It is later only after 65,536 ids in one millisecond, or while a clock that was set back has not caught up;
//! * across processes the address, the process and 32 random bits tell them apart.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ferromq_model::Timestamp;

use crate::allocate::STICKY_SUFFIX;

/// What a client calls itself towards brokers: `ip@instance[@unit][@STICKY]`.
///
/// `sticky` says that this client shares queues by [`Strategy::Sticky`](crate::Strategy::Sticky).
pub(crate) fn client_id(ip: IpAddr, instance: &str, unit: Option<&str>, sticky: bool) -> String {
    let mut id = match ip {
        IpAddr::V4(ip) => format!("{ip}@{instance}"),
        IpAddr::V6(ip) => format!("[{ip}]@{instance}"),
    };
    if let Some(unit) = unit.filter(|unit| !unit.trim().is_empty()) {
        id.push('@');
        id.push_str(unit);
    }
    if sticky {
        id.push_str(STICKY_SUFFIX);
    }
    id
}

/// The instance name of a client whose user gave it none: `pid#nanoseconds`, another one at each call.
pub(crate) fn instance_name() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    // Clocks may be coarser than they are called.
    let last = LAST.fetch_max(now, Ordering::Relaxed);
    let nanos = if last < now { now } else { LAST.fetch_add(1, Ordering::Relaxed) + 1 };
    format!("{}#{nanos}", std::process::id())
}

/// The address that this machine has on the way to `peer`, usually a NameServer. Nothing is sent.
///
/// # Errors
/// There is no way to `peer`.
pub(crate) fn local_ip(peer: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

/// Digits before the nonce: of 16 address bytes and 2 of the process.
const MAX_PREFIX: usize = 36;
/// Digits from the nonce on.
const SUFFIX: usize = 20;

/// Makes [`UniqueId`]s. Any number of threads may use one at the same time: each id costs one or three atomic
/// additions, and no allocation.
#[derive(Debug)]
pub(crate) struct UniqueIds {
    prefix: [u8; MAX_PREFIX],
    prefix_len: usize,
    nonce: u32,
    /// The next id's milliseconds since the epoch, and 16 bits of counter that carry over into them.
    next: AtomicU64,
}

impl UniqueIds {
    /// Ids of this process, which has the address `ip`.
    pub(crate) fn new(ip: IpAddr) -> Self {
        // The hasher's keys are random, as the standard library promises.
        let random = RandomState::new().build_hasher().finish();
        Self::with(ip, std::process::id(), random as u32)
    }

    fn with(ip: IpAddr, pid: u32, nonce: u32) -> Self {
        let mut prefix = [0; MAX_PREFIX];
        let ip_len = match ip {
            IpAddr::V4(ip) => write_hex(&mut prefix, &ip.octets()),
            IpAddr::V6(ip) => write_hex(&mut prefix, &ip.octets()),
        };
        // Official clients keep the low 16 bits, too.
        let pid_len = write_hex(&mut prefix[ip_len..], &(pid as u16).to_be_bytes());
        Self { prefix, prefix_len: ip_len + pid_len, nonce, next: AtomicU64::new(0) }
    }

    /// An id for a message that is made `now`.
    pub(crate) fn next(&self, now: Timestamp) -> UniqueId {
        let earliest = (now.0.max(0) as u64) << 16;
        let mut ticket = self.next.fetch_add(1, Ordering::Relaxed);
        if ticket < earliest {
            self.next.fetch_max(earliest, Ordering::Relaxed);
            ticket = self.next.fetch_add(1, Ordering::Relaxed);
        }
        let month = Month::of((ticket >> 16) as i64);
        // Times begin anew each month. Official clients may repeat ids then; here the number of the month keeps them apart.
        let nonce = self.nonce.wrapping_add(month.number);
        let mut bytes = [0; SUFFIX / 2];
        bytes[..4].copy_from_slice(&nonce.to_be_bytes());
        bytes[4..8].copy_from_slice(&month.millis.to_be_bytes());
        bytes[8..].copy_from_slice(&(ticket as u16).to_be_bytes());

        let mut text = [0; MAX_PREFIX + SUFFIX];
        text[..self.prefix_len].copy_from_slice(&self.prefix[..self.prefix_len]);
        let len = self.prefix_len + write_hex(&mut text[self.prefix_len..], &bytes);
        UniqueId { text, len: len as u8 }
    }
}

/// The id that a client gives to a message: its property `UNIQ_KEY`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UniqueId {
    text: [u8; MAX_PREFIX + SUFFIX],
    len: u8,
}

impl UniqueId {
    /// The text: 32 upper-case hex digits, 56 for clients with an IPv6 address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.text[..usize::from(self.len)]).expect("hex digits are ASCII")
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which month a time is in, and how far.
struct Month {
    /// Counted from March of the year 0.
    number: u32,
    /// Since it began.
    millis: u32,
}

/// Months begin when they do in the zone that is last to see them begin.
///
/// Official clients count from the month's begin in their own zone, and official tools read ids in theirs: those up to
/// 4.9 look for a message from the time in its id on, and find nothing if that is too late. Counted this way it never is, wherever
/// the tool runs, and too early by 26 hours at most.
const LAST_ZONE: i64 = -12 * 3_600_000;

const DAY: i64 = 86_400_000;

impl Month {
    /// Of a time in milliseconds since the epoch, which is not negative.
    fn of(time: i64) -> Self {
        let local = time + LAST_ZONE;
        // Days since 1 March of the year 0, in which leap days come last; 400 years are 146,097 days.
        let days = local.div_euclid(DAY) + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
        // Five months have 153 days, twice in a row and then some.
        let month = (5 * day_of_year + 2) / 153;
        let day_of_month = day_of_year - (153 * month + 2) / 5;
        let number = (era * 400 + year) * 12 + month;
        Self { number: number as u32, millis: (day_of_month * DAY + local.rem_euclid(DAY)) as u32 }
    }
}

fn write_hex(out: &mut [u8], bytes: &[u8]) -> usize {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    2 * bytes.len()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

    fn ids() -> UniqueIds {
        UniqueIds::with(IP, 0x2_1267, 0x1000_0000)
    }

    #[test]
    fn client_ids_are_built_as_official_clients_build_them() {
        assert_eq!(client_id(IP, "4711#812", None, false), "10.0.0.7@4711#812");
        assert_eq!(client_id(IP, "4711#812", Some("unit"), true), "10.0.0.7@4711#812@unit@STICKY");
        assert_eq!(client_id("fd00::7".parse().unwrap(), "i", Some(" "), false), "[fd00::7]@i");
    }

    #[test]
    fn instance_names_differ_even_where_the_clock_stands_still() {
        let names: HashSet<String> = (0..1000).map(|_| instance_name()).collect();
        assert_eq!(names.len(), 1000);
        let (pid, nanos) =
            instance_name().split_once('#').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert!(pid == std::process::id().to_string() && nanos.parse::<u64>().is_ok());
    }

    #[test]
    fn the_local_address_is_the_one_on_the_way_to_the_peer() {
        assert_eq!(local_ip("127.0.0.1:9876".parse().unwrap()).unwrap(), Ipv4Addr::LOCALHOST);
    }

    /// 2023-11-14T22:13:20.123Z, in a month that began at 2023-11-01T12:00Z.
    const NOW: Timestamp = Timestamp(1_700_000_000_123);

    #[test]
    fn unique_ids_have_the_parts_that_official_tools_read() {
        let ids = ids();
        // The official client 5.3.3 reads from it: 10.0.0.7, process 1267 (in hex), and a time on the 14th, 10:13:20.123.
        assert_eq!(ids.next(NOW).as_str(), "0A000007126710005EDC4524327B0000");
        assert_eq!(ids.next(NOW).to_string(), "0A000007126710005EDC4524327B0001");
        let v6 = UniqueIds::with("fd00::7".parse().unwrap(), 1, 0).next(NOW);
        assert_eq!(v6.as_str(), "FD000000000000000000000000000007000100005EDC4524327B0000");
    }

    #[test]
    fn ids_stay_unique_when_the_counter_wraps_and_when_the_clock_goes_back() {
        let ids = ids();
        let mut seen = HashSet::new();
        assert!((0..200_000).all(|_| seen.insert(ids.next(NOW))));
        // 65,536 ids a millisecond: the fourth one is begun.
        let ahead = ids.next(Timestamp(NOW.0 + 3));
        assert_eq!(&ahead.as_str()[20..28], format!("{:08X}", Month::of(NOW.0 + 3).millis));
        assert!((0..1000).all(|n| seen.insert(ids.next(Timestamp(NOW.0 - n)))));
    }

    #[test]
    fn threads_share_one_source_without_repeating_an_id() {
        let ids = ids();
        let made = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| (0..50_000).map(|n| ids.next(Timestamp(NOW.0 + n / 10_000))).collect())
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| -> Vec<UniqueId> { thread.join().unwrap() })
                .collect::<Vec<_>>()
        });
        assert_eq!(made.len(), 200_000);
        assert_eq!(made.into_iter().collect::<HashSet<_>>().len(), 200_000);
    }

    #[test]
    fn a_new_month_begins_times_anew_but_repeats_no_id() {
        let begin = Timestamp(1_701_432_000_000);
        let (last, first) = (Month::of(begin.0 - 1), Month::of(begin.0));
        assert_eq!((last.millis, first.millis), (30 * 86_400_000 - 1, 0));
        assert_eq!(first.number, last.number + 1);
        // The same time and counter, a month apart.
        let (old, new) = (ids().next(Timestamp(begin.0 - 30 * DAY)), ids().next(begin));
        assert_eq!((&old.as_str()[20..], old == new), (&new.as_str()[20..], false));
    }

    #[test]
    fn months_have_the_lengths_of_the_calendar() {
        let lengths = |year_start: i64| {
            let mut at = year_start - LAST_ZONE;
            std::array::from_fn::<i64, 12, _>(|_| {
                let start = at;
                let number = Month::of(start).number;
                assert_eq!(Month::of(start).millis, 0);
                while Month::of(at).number == number {
                    at += DAY;
                }
                (at - start) / DAY
            })
        };
        assert_eq!(lengths(1_672_531_200_000), [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], "2023");
        assert_eq!(lengths(1_704_067_200_000), [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], "2024");
        assert_eq!(Month::of(0).millis, (31 * DAY - DAY / 2) as u32, "1970 has not begun there");
    }
}
