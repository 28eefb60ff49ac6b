//! The RocketMQ remoting protocol: frames, codes, headers and bodies. Bytes in, values out; no I/O, no clock.
//!
//! ```text
//! | length 4 | type 1 | header length 3 | header          | body                  |
//!   │          │                          │                 └ up to the frame's end; what it is depends on the code
//!   │          │                          └ code, language, version, opaque, flag, remark, and named fields
//!   │          └ how the header is written: 0 JSON, 1 binary
//!   └ bytes that follow these four; big-endian like every number here
//! ```
//! Always true:
//! * a request and its response carry the same `opaque`; each side numbers what it starts, so both directions may use
//!   the same numbers on one connection;
//! * `flag` bit 0 says "response", bit 1 says "nobody answers this"; an answer to the latter would be a second,
//!   unexpected response;
//! * a header's fields are texts with names, in any order; what is unknown is skipped, what is absent is a default or
//!   an error that names the field;
//! * decoding never panics, never allocates more than the limits allow, and never hands out text that is not UTF-8.
//!
//! | module | what it holds |
//! |---|---|
//! | [`code`] | the tables of request and response codes |
//! | [`frame`] | frame lengths and limits, [`Command`](frame::Command) and its fields, encoding |
//! | [`header`] | the fields of each request and response, typed |
//! | [`body`] | the JSON bodies |
//! | [`compress`] | how clients compress messages |

pub mod body;
pub mod code;
pub mod compress;
pub mod frame;
pub mod header;
