//! A remoting client that does nothing by itself: frames on a blocking socket, one connection, no retries, no routing.
//!
//! What a test sends is what leaves, including what no official client would send; what comes back is handed over as it
//! came. Every read and write ends within [`PATIENCE`].

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::str::FromStr;
use std::time::Duration;

use ferromq_model::message::SysFlag;
use ferromq_model::record::Record;
use ferromq_model::{Millis, QueueId, QueueOffset, Timestamp};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::frame::{
    Command, EncodeFields, FrameLimits, Head, HeaderScratch, encode_with_body, frame_len,
};
use ferromq_protocol::header::{PullFlags, PullMessage, SendMessage};
use rustix::net::{AddressFamily, SocketType};

/// Longer than a healthy server takes for anything, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Answers may be larger than what a server takes in.
const LIMITS: FrameLimits = FrameLimits { max_frame: 256 << 20, max_header: 16 << 20 };

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Frames that [`Connection::flush`] writes.
    out: Vec<u8>,
    received: Vec<u8>,
    /// Where the first frame in `received` starts that was not handed over yet.
    start: usize,
    opaque: i32,
}

/// An answer, or whatever else the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The response code.
    pub code: i32,
    /// The number of the request.
    pub opaque: i32,
    /// 1 for an answer.
    pub flag: i32,
    /// What went wrong, in words.
    pub remark: String,
    /// The header's fields.
    pub fields: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A field as a number or text.
    ///
    /// # Panics
    /// When it is absent or something else.
    pub fn field<T: FromStr<Err: Debug>>(&self, name: &str) -> T {
        let text = self.fields.get(name).unwrap_or_else(|| panic!("no field {name} in {self:?}"));
        text.parse().unwrap_or_else(|e| panic!("field {name} is {text:?}: {e:?}"))
    }

    /// The stored records that a pull or query is answered with.
    ///
    /// # Panics
    /// When the body is not made of whole records with right checksums.
    pub fn records(&self) -> Vec<Record<'_>> {
        let mut rest = &self.body[..];
        let mut records = Vec::new();
        while !rest.is_empty() {
            let record = Record::decode(rest).expect("a pull's body is whole records");
            record.verify().expect("a body has its checksum");
            rest = &rest[record.len..];
            records.push(record);
        }
        records
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// As the system.
    pub fn open(server: SocketAddr) -> io::Result<Self> {
        Self::of(TcpStream::connect_timeout(&server, PATIENCE)?)
    }

    /// Connects from another of this machine's loopback addresses: one address has only so many ports.
    ///
    /// # Errors
    /// As the system.
    pub fn open_from(source: Ipv4Addr, server: SocketAddr) -> io::Result<Self> {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::net::bind(&socket, &SocketAddr::from((source, 0)))?;
        rustix::net::connect(&socket, &server)?;
        Self::of(TcpStream::from(socket))
    }

    fn of(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, out: Vec::new(), received: Vec::new(), start: 0, opaque: 0 })
    }

    /// The socket, for what frames cannot say.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Adds a request to what [`Connection::flush`] writes, and returns its number.
    pub fn push(&mut self, code: RequestCode, fields: &(impl EncodeFields + ?Sized), body: &[u8]) -> i32 {
        self.opaque += 1;
        self.push_head(&Head::request(code, self.opaque), fields, body);
        self.opaque
    }

    /// The same with a head of the caller's making.
    ///
    /// # Panics
    /// When no frame can hold it.
    pub fn push_head(&mut self, head: &Head<'_>, fields: &(impl EncodeFields + ?Sized), body: &[u8]) {
        encode_with_body(&mut self.out, head, fields, body).expect("it fits into a frame");
    }

    /// Writes what was pushed.
    ///
    /// # Errors
    /// As the system; a peer that takes nothing is `WouldBlock` after [`PATIENCE`].
    pub fn flush(&mut self) -> io::Result<()> {
        let written = self.stream.write_all(&self.out);
        self.out.clear();
        written
    }

    /// Writes bytes that may be no frame.
    ///
    /// # Errors
    /// As [`Connection::flush`].
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next frame.
    ///
    /// # Errors
    /// `UnexpectedEof` when the server closed the connection, `WouldBlock` after [`PATIENCE`].
    ///
    /// # Panics
    /// When what came is no frame.
    pub fn receive(&mut self) -> io::Result<Answer> {
        loop {
            let waiting = &self.received[self.start..];
            if let Some(len) = frame_len(waiting, &LIMITS).expect("the server writes frames") {
                let mut scratch = HeaderScratch::new();
                let frame = Command::decode(&waiting[..len], &mut scratch).expect("the server writes frames");
                let answer = Answer {
                    code: frame.code,
                    opaque: frame.opaque,
                    flag: frame.flag,
                    remark: frame.remark.unwrap_or_default().to_owned(),
                    fields: frame.fields.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
                    body: frame.body.to_vec(),
                };
                self.start += len;
                return Ok(answer);
            }
            self.received.drain(..self.start);
            self.start = 0;
            let end = self.received.len();
            self.received.resize(end + (64 << 10), 0);
            let read = self.stream.read(&mut self.received[end..]);
            self.received.truncate(end + read.as_ref().map_or(0, |&count| count));
            if read? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Sends one request and waits for its answer. Nothing else may be under way on this connection.
    ///
    /// # Errors
    /// As [`Connection::flush`] and [`Connection::receive`].
    ///
    /// # Panics
    /// When another request is answered.
    pub fn ask(
        &mut self,
        code: RequestCode,
        fields: &(impl EncodeFields + ?Sized),
        body: &[u8],
    ) -> io::Result<Answer> {
        let opaque = self.push(code, fields, body);
        self.flush()?;
        let answer = self.receive()?;
        assert_eq!(
            (answer.opaque, answer.flag & 1),
            (opaque, 1),
            "not the answer to this request: {answer:?}"
        );
        Ok(answer)
    }

    /// Whether the server ends this connection within `limit`, whatever it writes before.
    ///
    /// # Panics
    /// When the socket refuses its timeout.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        let until = std::time::Instant::now() + limit;
        let mut bytes = [0; 64 << 10];
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return false;
            }
            self.stream.set_read_timeout(Some(left)).expect("a read may have a timeout");
            match self.stream.read(&mut bytes) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                    // A reset is an end as well: the server had bytes that it did not want to read.
                    _ => return true,
                },
            }
        }
    }
}

/// The header of a send to a queue that any server takes; a new topic gets as many queues as `TBW102` allows.
pub fn send_header<'a>(topic: &'a str, queue: u32, properties: &'a str) -> SendMessage<'a> {
    SendMessage {
        group: "tests-producer",
        topic,
        default_topic: "TBW102",
        default_queues: 4,
        queue: Some(QueueId(queue)),
        sys_flag: SysFlag(0),
        born: Timestamp::now(),
        flag: 0,
        properties,
        reconsume_times: 0,
        unit_mode: false,
        max_reconsume_times: None,
        batch: false,
        broker: None,
    }
}

/// The header of a pull that takes everything and is answered at once.
pub fn pull_header(topic: &str, queue: u32, from: u64) -> PullMessage<'_> {
    PullMessage {
        group: "tests-consumer",
        topic,
        queue: QueueId(queue),
        from: Some(QueueOffset(from)),
        max: 32,
        flags: PullFlags(PullFlags::SUBSCRIPTION),
        commit: None,
        wait: Millis(0),
        subscription: Some("*"),
        subscription_version: 0,
        expression_type: Some("TAG"),
        max_bytes: None,
        source: None,
        proxied_client: None,
    }
}
