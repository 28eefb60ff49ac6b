//! The floor: a server that copies each frame into a mapped file and answers, with nothing in between.
//!
//! It stores nothing that could be read back. What a broker takes beyond it, it takes for being a broker.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rustix::event::epoll;
use rustix::mm::{MapFlags, ProtFlags};

use super::frame::AnswerReader;

/// Bytes of the file, which is written round and round.
const FILE_LEN: usize = 1 << 30;
const INBOUND_LEN: usize = 1 << 20;
const LISTENER: u64 = u64::MAX;

/// `ferromq bench floor-server`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address to listen on
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:20911")]
    listen: String,
    /// Directory for the file
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Serves until it is killed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut log = Log::create(&args.dir)?;
    let listener =
        TcpListener::bind(&args.listen).with_context(|| format!("listening on {}", args.listen))?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let mut clients: HashMap<u64, Client> = HashMap::new();
    let mut made = 0;
    let mut events = Vec::with_capacity(64);
    loop {
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            let id = event.data.u64();
            if id == LISTENER {
                let Ok((socket, _)) = listener.accept() else { continue };
                socket.set_nonblocking(true)?;
                socket.set_nodelay(true)?;
                epoll::add(&poll, &socket, epoll::EventData::new_u64(made), epoll::EventFlags::IN)?;
                clients.insert(made, Client::new(socket));
                made += 1;
            } else if let Some(client) = clients.get_mut(&id)
                && client.serve(&mut log).is_err()
            {
                clients.remove(&id); // closing the socket takes it out of the poll
            }
        }
    }
}

struct Client {
    socket: TcpStream,
    inbound: Vec<u8>,
    filled: usize,
    reader: AnswerReader,
    outbound: Vec<u8>,
}

impl Client {
    fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            inbound: vec![0; INBOUND_LEN],
            filled: 0,
            reader: AnswerReader::default(),
            outbound: Vec::new(),
        }
    }

    /// One read, every complete frame in it, one write.
    fn serve(&mut self, log: &mut Log) -> Result<()> {
        match self.socket.read(&mut self.inbound[self.filled..]) {
            Ok(0) => anyhow::bail!("closed"),
            Ok(len) => self.filled += len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let mut at = 0;
        while let Some((frame, len)) = self.reader.next(&self.inbound[at..self.filled])? {
            log.append(&self.inbound[at..at + len]);
            answer(&mut self.outbound, frame.opaque);
            at += len;
        }
        self.inbound.copy_within(at..self.filled, 0);
        self.filled -= at;
        // Answers are small: a client that does not take them is dropped rather than waited for.
        self.socket.write_all(&self.outbound)?;
        self.outbound.clear();
        Ok(())
    }
}

/// A success with what an answer to a send holds, and an offset for those who ask for one.
fn answer(out: &mut Vec<u8>, opaque: u32) {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(
        br#"{"code":0,"extFields":{"MSG_REGION":"DefaultRegion","TRACE_ON":"true","msgId":"7F00000100002A9F0000000000000000","offset":"0","queueId":"0","queueOffset":"0"},"flag":1,"language":"JAVA","opaque":"#,
    );
    let _ = write!(out, "{opaque}");
    out.extend_from_slice(br#","serializeTypeCurrentRPC":"JSON","version":479}"#);
    let header_len = (out.len() - start - 8) as u32;
    out[start..start + 4].copy_from_slice(&(header_len + 4).to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&header_len.to_be_bytes());
}

/// A mapped file that is written round and round.
struct Log {
    bytes: &'static mut [u8],
    end: usize,
}

impl Log {
    fn create(dir: &std::path::Path) -> Result<Self> {
        let path = dir.join(format!("ferromq-bench-floor-{}", std::process::id()));
        let file = std::fs::File::options().create_new(true).read(true).write(true).open(&path);
        let file = file.with_context(|| format!("no file can be made in {}", dir.display()))?;
        // Unlinked at once, so that it goes with the process.
        std::fs::remove_file(&path)?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, FILE_LEN as u64)?;
        // SAFETY: the file was made here, has `FILE_LEN` bytes allocated, has no name by which anyone could shorten
        // it, and is mapped once for the life of the process, so the slice is its only view.
        let bytes = unsafe {
            let flags = ProtFlags::READ | ProtFlags::WRITE;
            let start = rustix::mm::mmap(std::ptr::null_mut(), FILE_LEN, flags, MapFlags::SHARED, &file, 0)?;
            std::slice::from_raw_parts_mut(start.cast::<u8>(), FILE_LEN)
        };
        Ok(Self { bytes, end: 0 })
    }

    fn append(&mut self, frame: &[u8]) {
        if self.end + frame.len() > self.bytes.len() {
            self.end = 0;
        }
        self.bytes[self.end..self.end + frame.len()].copy_from_slice(frame);
        self.end += frame.len();
    }
}
