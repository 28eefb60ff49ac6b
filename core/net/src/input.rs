//! The buffer that frames are cut from: grows with the traffic, up to the largest frame, and gives memory back when the
//! traffic ends.

use ferromq_protocol::frame::{FrameError, FrameLimits, frame_len};

/// What a connection that says nothing costs.
const SMALL: usize = 2 << 10;
/// The most that one read takes while frames are small: more brings no fewer system calls, only colder caches.
const LARGE: usize = 256 << 10;

pub(crate) struct Input {
    /// Initialized throughout; `start..end` holds what was read and not yet handled.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; SMALL], start: 0, end: 0 }
    }

    /// Room to read into; never empty.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.end == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.bytes.len() {
            self.grow(self.bytes.len() * 2);
        }
        &mut self.bytes[self.end..]
    }

    /// Notes that `count` bytes were read into the room.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end += count;
        // A read that takes all there was room for has probably left some behind.
        if self.end == self.bytes.len() && self.bytes.len() < LARGE {
            self.grow((self.bytes.len() * 4).min(LARGE));
        }
    }

    fn grow(&mut self, len: usize) {
        if len > self.bytes.len() {
            self.bytes.resize(len, 0);
        }
    }

    /// The next whole frame, if one is there.
    ///
    /// # Errors
    /// The peer does not speak the protocol or exceeds a limit.
    pub(crate) fn next_frame(&mut self, limits: &FrameLimits) -> Result<Option<&[u8]>, FrameError> {
        let waiting = &self.bytes[self.start..self.end];
        match frame_len(waiting, limits)? {
            Some(len) if len <= waiting.len() => {
                let frame = self.start..self.start + len;
                self.start = frame.end;
                Ok(Some(&self.bytes[frame]))
            }
            _ => Ok(None),
        }
    }

    /// Whether part of a frame waits for the rest.
    pub(crate) fn is_inside_frame(&self) -> bool {
        self.start < self.end
    }

    /// Gives memory back that a burst took.
    pub(crate) fn shrink(&mut self) {
        if self.start == self.end && self.bytes.len() > SMALL {
            *self = Self::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use ferromq_protocol::code::RequestCode;
    use ferromq_protocol::frame::{Head, encode_with_body};

    use super::*;

    #[test]
    fn frames_are_cut_wherever_reads_end() {
        let mut stream = Vec::new();
        let body = vec![7u8; 5000];
        for opaque in 0..20 {
            let len = if opaque % 3 == 0 { 5000 } else { 10 };
            let head = Head::request(RequestCode::HeartBeat, opaque);
            encode_with_body(&mut stream, &head, &(), &body[..len]).unwrap();
        }
        for step in [1, 7, 100, 4096, 1 << 20] {
            let mut input = Input::new();
            let mut rest = &stream[..];
            let mut frames = 0;
            while !rest.is_empty() {
                let room = input.room();
                let count = rest.len().min(step).min(room.len());
                room[..count].copy_from_slice(&rest[..count]);
                input.filled(count);
                rest = &rest[count..];
                while input.next_frame(&FrameLimits::default()).unwrap().is_some() {
                    frames += 1;
                }
            }
            assert_eq!((frames, input.is_inside_frame()), (20, false), "step {step}");
        }
    }
}
