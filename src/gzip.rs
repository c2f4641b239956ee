//! One gzip stream of a part that is compressed once and a part that is new at each scrape.
//!
//! Two gzip members one after another would be valid, too (RFC 1952, 2.2), but some readers stop
//! after the first. So the first part is kept as raw deflate blocks that end at a byte boundary
//! without ending the stream, and the checksums are combined.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

/// Magic number, deflate, no flags, no time, no extra flags, unknown system (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The part of a stream that is compressed once.
#[derive(Debug)]
pub struct Prefix {
    bytes: Bytes,
    checksum: Crc,
}

impl Prefix {
    /// Compresses the beginning of a stream.
    pub fn new(text: &[u8]) -> io::Result<Self> {
        let mut out = Vec::with_capacity(HEADER.len() + text.len() / 8);
        out.extend_from_slice(&HEADER);
        let mut encoder = DeflateEncoder::new(out, Compression::new(LEVEL));
        encoder.write_all(text)?;
        // a sync flush: all is written, up to a whole byte, and more can follow
        encoder.flush()?;
        let bytes = std::mem::take(encoder.get_mut());
        Ok(Self {
            bytes: bytes.into(),
            checksum: checksum(text),
        })
    }

    /// The bytes that a stream with this beginning begins with.
    pub fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// The bytes that end a stream with this beginning and the given rest.
    pub fn finish(&self, rest: &[u8]) -> io::Result<Bytes> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(LEVEL));
        encoder.write_all(rest)?;
        let mut out = encoder.finish()?;
        let mut whole = Crc::new();
        whole.combine(&self.checksum);
        whole.combine(&checksum(rest));
        out.extend_from_slice(&whole.sum().to_le_bytes());
        // the length modulo 2^32 (RFC 1952, 2.3.1)
        out.extend_from_slice(&whole.amount().to_le_bytes());
        Ok(out.into())
    }
}

/// Exposition is repetitive: the fastest level already shrinks it to a tenth, and a higher one
/// costs five times as long for the last few percent.
const LEVEL: u32 = 1;

fn checksum(bytes: &[u8]) -> Crc {
    let mut checksum = Crc::new();
    checksum.update(bytes);
    checksum
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::bufread::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stream_is_one_member_with_both_parts(
            first in proptest::collection::vec(any::<u8>(), 0..5_000),
            second in proptest::collection::vec(any::<u8>(), 0..500),
        ) {
            let prefix = Prefix::new(&first).unwrap();
            let stream = [prefix.bytes(), prefix.finish(&second).unwrap()].concat();
            let mut text = Vec::new();
            // reads one member and checks its checksum and length
            let mut decoder = GzDecoder::new(stream.as_slice());
            decoder.read_to_end(&mut text).unwrap();
            prop_assert_eq!(text, [first, second].concat());
            prop_assert!(decoder.into_inner().is_empty());
        }
    }
}
