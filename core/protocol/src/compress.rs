//! Bodies made smaller: zlib, LZ4 and Zstandard, told apart by bits of the message's system flag.
//!
//! Only clients do this: brokers keep and hand out what they got. Whoever sends decides by the length of a body,
//! whoever receives by the flag, so that a group may read what producers of different settings send.
//!
//! Always true:
//! * what comes out of [`decompress`] is whole, and within the limit: a stream that ends early, or one that would not end,
//!   is an error, and takes no memory beyond the limit but the few MiB that the formats work with;
//! * a compressed body is shorter than the plain one, or it is not used.

use std::io::{self, Read, Write};

use bytes::Bytes;
use ferromq_model::message::SysFlag;

/// Bodies longer than this many bytes are compressed, unless the user says otherwise (`compressMsgBodyOverHowmuch`).
pub const DEFAULT_THRESHOLD: usize = 4096;

/// How much work is put into it, as zlib (0 to 9) and Zstandard (1 to 22) count, unless the user says otherwise.
pub const DEFAULT_LEVEL: u32 = 5;

/// Bytes that a compressed body may hold, unless the user says otherwise: 64 MiB, sixteen times what brokers take of a
/// plain one.
pub const DEFAULT_BODY_LIMIT: usize = 64 << 20;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// The one that every client reads, and the default of official ones.
    #[default]
    Zlib,
    /// The fastest; clients before 5.0 do not read it. Knows no levels.
    Lz4,
    /// The smallest for its speed; clients before 5.0 do not read it.
    Zstd,
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// The flag says something that this client does not know: the sender is newer.
    #[error("body is compressed in an unknown way: system flag {0:#x}")]
    UnknownKind(i32),
    /// The body is not what the flag says, or was cut: the sender's fault, and the same at every try.
    #[error("compressed body cannot be read")]
    Corrupt(#[source] io::Error),
    /// It would become too large: a sender with other limits, or an attack.
    #[error("compressed body holds more than {limit} bytes")]
    TooLarge {
        /// Bytes that were allowed.
        limit: usize,
    },
}

impl Compression {
    /// What the system flag of a message with such a body says.
    #[must_use]
    pub const fn bits(self) -> i32 {
        SysFlag::COMPRESSED
            | match self {
                Self::Zlib => SysFlag::COMPRESSION_ZLIB,
                Self::Lz4 => SysFlag::COMPRESSION_LZ4,
                Self::Zstd => SysFlag::COMPRESSION_ZSTD,
            }
    }

    /// How the body of a message with this flag is compressed, if it is.
    const fn of(flag: SysFlag) -> Result<Option<Self>, DecompressError> {
        if !flag.has(SysFlag::COMPRESSED) {
            return Ok(None);
        }
        match flag.0 & SysFlag::COMPRESSION_MASK {
            0 | SysFlag::COMPRESSION_ZLIB => Ok(Some(Self::Zlib)),
            SysFlag::COMPRESSION_LZ4 => Ok(Some(Self::Lz4)),
            SysFlag::COMPRESSION_ZSTD => Ok(Some(Self::Zstd)),
            _ => Err(DecompressError::UnknownKind(flag.0)),
        }
    }
}

/// The body compressed, for a message whose flag gets [`Compression::bits`]; `None` if that makes it no shorter.
///
/// A `level` outside of the kind's range counts as the nearest one in it.
#[must_use]
pub fn compress(kind: Compression, level: u32, body: &[u8]) -> Option<Bytes> {
    let room = Vec::with_capacity(body.len());
    let compressed = match kind {
        Compression::Zlib => {
            let mut stream = flate2::write::ZlibEncoder::new(room, flate2::Compression::new(level.min(9)));
            stream.write_all(body).and_then(|()| stream.finish())
        }
        Compression::Lz4 => {
            // Blocks are independent by default: official clients read no others.
            let mut frame = lz4_flex::frame::FrameEncoder::new(room);
            frame.write_all(body).and_then(|()| frame.finish().map_err(io::Error::from))
        }
        Compression::Zstd => zstd::bulk::compress(body, level.clamp(1, 22) as i32),
    };
    // Nothing that writes into memory fails for another reason than memory.
    let compressed = compressed.ok().filter(|compressed| compressed.len() < body.len())?;
    Some(compressed.into_boxed_slice().into())
}

/// The body as its sender had it; `body` itself if it is not compressed.
///
/// # Errors
/// [`DecompressError`]; trying again does not help.
pub fn decompress(flag: SysFlag, body: Bytes, limit: usize) -> Result<Bytes, DecompressError> {
    let plain = match Compression::of(flag)? {
        None => return Ok(body),
        Some(Compression::Zlib) => inflate(&body, limit)?,
        Some(Compression::Lz4) if !lz4_has_end(&body) => return Err(cut()),
        Some(Compression::Lz4) => read(lz4_flex::frame::FrameDecoder::new(&*body), &body, limit)?,
        Some(Compression::Zstd) if body.is_empty() => return Err(cut()),
        Some(Compression::Zstd) => {
            let frame = zstd::stream::read::Decoder::with_buffer(&*body).map_err(DecompressError::Corrupt)?;
            read(frame, &body, limit)?
        }
    };
    // What waits to be consumed is counted by its length, so it must not hold more.
    Ok(plain.into_boxed_slice().into())
}

fn read(stream: impl Read, body: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    let mut plain = Vec::with_capacity(guess(body, limit));
    stream
        .take((limit as u64).saturating_add(1))
        .read_to_end(&mut plain)
        .map_err(DecompressError::Corrupt)?;
    if plain.len() > limit { Err(DecompressError::TooLarge { limit }) } else { Ok(plain) }
}

/// As [`read`]. The reader of zlib streams takes one that ends early for one that is whole.
fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    let mut stream = flate2::Decompress::new(true);
    let mut plain = Vec::with_capacity(guess(body, limit));
    loop {
        let (read, written) = (stream.total_in(), stream.total_out());
        let status = stream
            .decompress_vec(&body[read as usize..], &mut plain, flate2::FlushDecompress::None)
            .map_err(|error| DecompressError::Corrupt(error.into()))?;
        if plain.len() > limit {
            return Err(DecompressError::TooLarge { limit });
        }
        if status == flate2::Status::StreamEnd {
            return Ok(plain);
        }
        if plain.len() == plain.capacity() {
            // Twice as much, but not far beyond the limit.
            plain.reserve(plain.len().min(limit - plain.len()) + 64);
        } else if (stream.total_in(), stream.total_out()) == (read, written) {
            return Err(cut());
        }
    }
}

/// Whether a frame of LZ4 goes on up to its end mark. Its reader takes one that ends after any block for one that is whole.
fn lz4_has_end(frame: &[u8]) -> bool {
    // Magic number, flags, block size, perhaps the length, perhaps a dictionary's id, and a checksum of these.
    let Some(&flags) = frame.get(4) else { return false };
    let bit = |bit: u8| usize::from(flags >> bit & 1);
    let mut at = 4 + 2 + 8 * bit(3) + 4 * bit(0) + 1;
    loop {
        let Some(len) = frame.get(at..).and_then(|rest| rest.first_chunk::<4>()) else { return false };
        match u32::from_le_bytes(*len) & 0x7FFF_FFFF {
            0 => return true,
            len => at += 4 + len as usize + 4 * bit(4),
        }
    }
}

#[cold]
fn cut() -> DecompressError {
    DecompressError::Corrupt(io::ErrorKind::UnexpectedEof.into())
}

/// Room to begin with: texts often shrink to a third.
fn guess(body: &[u8], limit: usize) -> usize {
    body.len().saturating_mul(4).min(limit.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Compression; 3] = [Compression::Zlib, Compression::Lz4, Compression::Zstd];

    fn text() -> String {
        (0..20).map(|n| format!("FerroMQ message body {n}; ")).collect()
    }

    fn hex(text: &str) -> Bytes {
        text.as_bytes()
            .as_chunks::<2>()
            .0
            .iter()
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// What the compressors of the official Java client 5.3.3 make of [`text`] at level 5.
    fn javas(kind: Compression) -> Bytes {
        hex(match kind {
            Compression::Lz4 => {
                "04224d186070737c000000ff09466572726f4d51206d65737361676520626f647920303b201800021f31180004\
                 1f321800041f331800041f341800041f351800041f361800041f371800041f381800041f391800041f31f10006\
                 0ff200051f31f300051f31f400051f31f500051f31f600051f31f700051f31f800051f31f90004502031393b20\
                 00000000"
            }
            Compression::Zstd => {
                "28b52ffd0058f40200d402466572726f4d51206d65737361676520626f647920303b2031323334353637383931\
                 3131313131313131393b2013007c03656fe0e90d647903056fe0dd0d647603a56e20d0cd72a066a016501fa819\
                 a805d4076a066a01f565bf3906010000"
            }
            Compression::Zlib => {
                "785e75cfb90d80301045c156b6043e9741e4ce0828c1c82b2264c98ee81e0ae0a5934df45acb7ed8edada5cbed\
                 2cf9b16eb3f8e702efc107f0117c029fc103f802bed20bc33416954567515ab416b5456f515cdffc05d685a44d"
            }
        })
    }

    #[test]
    fn bodies_that_official_clients_compressed_are_read() {
        for kind in KINDS {
            for limit in [490, usize::MAX] {
                let plain = decompress(SysFlag(kind.bits()), javas(kind), limit).unwrap();
                assert_eq!(plain, text(), "{kind:?}");
            }
        }
        let before_types = decompress(SysFlag(SysFlag::COMPRESSED), javas(Compression::Zlib), 490);
        assert_eq!(before_types.unwrap(), text());
    }

    #[test]
    fn bodies_come_back_as_they_were_at_every_level() {
        let text = text().repeat(500);
        for kind in KINDS {
            for level in [0, 1, 5, 9, 22, u32::MAX] {
                if let Some(compressed) = compress(kind, level, text.as_bytes()) {
                    let plain = decompress(SysFlag(kind.bits()), compressed, text.len()).unwrap();
                    assert!(plain == text, "{kind:?} at level {level}");
                } else {
                    assert_eq!((kind, level), (Compression::Zlib, 0), "which only copies");
                }
            }
        }
    }

    #[test]
    fn what_gets_no_shorter_stays_plain() {
        let noise: Vec<u8> = (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for kind in KINDS {
            assert_eq!(compress(kind, 5, b"short"), None, "{kind:?}");
            if let Some(compressed) = compress(kind, 5, &noise) {
                assert!(compressed.len() < noise.len());
            }
        }
        let plain = Bytes::from_static(b"plain");
        assert_eq!(decompress(SysFlag(SysFlag::COMPRESSION_LZ4), plain.clone(), 0).unwrap(), plain);
    }

    #[test]
    fn a_bomb_is_an_error_that_says_the_limit() {
        let zeros = vec![0; 8 << 20];
        for kind in KINDS {
            let bomb = compress(kind, 9, &zeros).unwrap();
            for limit in [0, 1, 100_000, zeros.len() - 1] {
                let error = decompress(SysFlag(kind.bits()), bomb.clone(), limit).unwrap_err();
                assert!(
                    matches!(error, DecompressError::TooLarge { limit: l } if l == limit),
                    "{kind:?} {error:?}"
                );
            }
            assert_eq!(decompress(SysFlag(kind.bits()), bomb, zeros.len()).unwrap().len(), zeros.len());
        }
    }

    #[test]
    fn a_body_that_was_cut_or_is_something_else_is_an_error() {
        for kind in KINDS {
            let whole = javas(kind);
            for len in 0..whole.len() {
                let cut = decompress(SysFlag(kind.bits()), whole.slice(..len), 1000);
                assert!(matches!(cut, Err(DecompressError::Corrupt(_))), "{kind:?} cut at {len}: {cut:?}");
            }
            let other = decompress(SysFlag(kind.bits()), Bytes::from(text()), 1000);
            assert!(matches!(other, Err(DecompressError::Corrupt(_))), "{kind:?}: {other:?}");
        }
        // Where a block ends, the end mark is missing.
        let noise: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(n) >> 11) as u8).collect();
        let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
        frame.write_all(&noise).unwrap();
        let frame = Bytes::from(frame.finish().unwrap());
        let flag = SysFlag(Compression::Lz4.bits());
        assert_eq!(decompress(flag, frame.clone(), noise.len()).unwrap(), noise);
        for kept in [frame.len() - 4, 11 + lz4_block_len(&frame)] {
            assert!(decompress(flag, frame.slice(..kept), noise.len()).is_err(), "{kept} of {}", frame.len());
        }
        let newer = decompress(SysFlag(0x401), Bytes::new(), 1000);
        assert!(matches!(newer, Err(DecompressError::UnknownKind(0x401))));
    }
    fn lz4_block_len(frame: &[u8]) -> usize {
        (u32::from_le_bytes(frame[7..11].try_into().unwrap()) & 0x7FFF_FFFF) as usize
    }
}
