//! Cuts a journal that a power cut has torn, where fjall refuses to open it.
//!
//! What was written since the last sync reaches the disk in any order, page by page. fjall drops a batch whose end is
//! missing, or where nothing stands in the place of a row. But a row that is larger than a page may lack one in its
//! middle, with everything around it there: that fjall takes for a disk that forgets, and rightly asks for somebody who
//! decides. Here that is decided: what was synced was answered for, and of it nothing lies behind a batch that was not.
//! The journal is kept beside as it was, in case it was the disk after all.
//!
//! ```text
//! batch     01 rows:4 number:8  row …  03 checksum of the rows:8 magic:4
//! row       02 kind:1 compression:1 keyspace:8 key length:2 length:4 stored length:4 key value
//! cleared   04 keyspace:8
//! ```
//! Numbers are little-endian. This is the third version of fjall's format, which it checks before it reads a journal.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8] = b"FJL\x03";

/// What was cut.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The journal.
    pub(super) journal: PathBuf,
    /// As it was before.
    pub(super) kept: PathBuf,
    /// Bytes of it that are left.
    pub(super) len: u64,
}

/// Cuts the newest journal in `dir` before the first batch that is whole but for its checksum. None is cut where there is
/// no such batch.
pub(super) fn cut_newest(dir: &Path) -> io::Result<Option<Cut>> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse().ok());
        if let Some(number) = number
            && newest.as_ref().is_none_or(|(highest, _)| number > *highest)
        {
            newest = Some((number, path));
        }
    }
    let Some((_, journal)) = newest else { return Ok(None) };
    let bytes = fs::read(&journal)?;
    let Some(len) = first_torn(&bytes) else { return Ok(None) };
    let kept = journal.with_extension("jnl.torn");
    fs::write(&kept, bytes)?;
    File::open(&kept)?.sync_all()?;
    let file = File::options().write(true).open(&journal)?;
    file.set_len(len as u64)?;
    file.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok(Some(Cut { journal, kept, len: len as u64 }))
}

/// Where the first batch begins whose rows do not have its checksum.
fn first_torn(journal: &[u8]) -> Option<usize> {
    let mut rest = journal;
    loop {
        let at = journal.len() - rest.len();
        let rows = take(&mut rest, 1 + 4 + 8).filter(|start| start[0] == 1).map(|_| rest)?;
        loop {
            match rest.first()? {
                2 => {
                    let head = take(&mut rest, 1 + 1 + 1 + 8 + 2 + 4 + 4)?;
                    let key = u16::from_le_bytes([head[11], head[12]]) as usize;
                    let value = u32::from_le_bytes([head[17], head[18], head[19], head[20]]) as usize;
                    take(&mut rest, key + value)?;
                }
                4 => {
                    take(&mut rest, 1 + 8)?;
                }
                3 => break,
                _ => return None,
            }
        }
        let rows = &rows[..rows.len() - rest.len()];
        let end = take(&mut rest, 1 + 8 + 4).filter(|end| end[9..] == *MAGIC)?;
        if end[1..9] != xxh3_64(rows).to_le_bytes() {
            return Some(at);
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}
