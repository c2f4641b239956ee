//! Gzip streams made of pieces that are compressed once and an end that is new at each scrape.
//!
//! A series of gzip members would also be valid (RFC 1952, 2.2), but some readers stop after the
//! first member. Each piece is therefore kept as raw deflate blocks that end at a byte boundary, do
//! not end the stream and do not refer to earlier data. The checksums are combined.

use std::io;

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};

/// The header: magic number, deflate, no flags, no time, no extra flags, unknown system (RFC 1952,
/// 2.3).
pub const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Compression level. Expositions are repetitive: the fastest level shrinks them to a tenth. Higher
/// levels take five times as long to save a few percent more.
const LEVEL: u32 = 1;

/// Bytes that the end of a stream needs besides a short rest: the head of a block, checksum and length.
const STORED_OVERHEAD: usize = 5 + 8;

/// Bytes by which the output buffer grows.
const ROOM: usize = 16 * 1024;

/// A text compressed on its own, which can be placed anywhere in a stream.
#[derive(Debug)]
pub struct Deflated {
    /// The compressed bytes.
    pub bytes: Bytes,
    checksum: Crc,
}

/// Compresses texts with a reused buffer.
#[derive(Debug)]
pub struct Compressor {
    compress: Compress,
    out: Vec<u8>,
}

/// The checksum of the pieces so far.
#[derive(Debug, Default)]
pub struct Checksum(Crc);

impl Compressor {
    /// Returns a compressor.
    pub fn new() -> Self {
        Self {
            compress: Compress::new(Compression::new(LEVEL), false),
            out: Vec::with_capacity(ROOM),
        }
    }

    /// Compresses a piece of a stream, given in parts.
    pub fn piece<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]>) -> io::Result<Deflated> {
        self.begin();
        let mut checksum = Crc::new();
        for part in parts {
            checksum.update(part);
            self.deflate(part, FlushCompress::None)?;
        }
        // a sync flush ends at a byte boundary, and more can follow
        self.deflate(&[], FlushCompress::Sync)?;
        Ok(Deflated { bytes: Bytes::copy_from_slice(&self.out), checksum })
    }

    /// Forgets earlier data, so that the next piece does not refer to it.
    fn begin(&mut self) {
        self.compress.reset();
        self.out.clear();
    }

    fn deflate(&mut self, text: &[u8], flush: FlushCompress) -> io::Result<()> {
        let mut rest = text;
        loop {
            let before = self.compress.total_in();
            self.compress.compress_vec(rest, &mut self.out, flush)?;
            let taken = self.compress.total_in() - before;
            let taken = usize::try_from(taken).map_err(io::Error::other)?;
            rest = rest.get(taken..).unwrap_or_default();
            // if there is room left, all output has been written
            if self.out.len() < self.out.capacity() {
                return Ok(());
            }
            self.out.reserve(ROOM);
        }
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

impl Checksum {
    /// Appends a piece.
    pub fn add(&mut self, piece: &Deflated) {
        self.0.combine(&piece.checksum);
    }

    /// Appends the pieces of another checksum.
    pub fn append(&mut self, other: &Self) {
        self.0.combine(&other.0);
    }

    /// Returns the end of the stream: a short rest, and the checksum and length of all.
    ///
    /// The rest is stored as it is (RFC 1951, 3.2.4). To compress a few lines takes longer than to send
    /// them, since each compression begins by clearing its tables.
    pub fn end(mut self, rest: &[u8]) -> Bytes {
        let mut of_rest = Crc::new();
        of_rest.update(rest);
        self.0.combine(&of_rest);
        let mut out = Vec::with_capacity(rest.len() + STORED_OVERHEAD);
        let mut blocks = rest.chunks(u16::MAX.into()).peekable();
        while let Some(block) = blocks.next() {
            stored(&mut out, block, blocks.peek().is_none());
        }
        if rest.is_empty() {
            stored(&mut out, rest, true);
        }
        out.extend_from_slice(&self.0.sum().to_le_bytes());
        // the length modulo 2^32 (RFC 1952, 2.3.1)
        out.extend_from_slice(&self.0.amount().to_le_bytes());
        out.into()
    }
}

/// Writes a block of at most 65,535 bytes without compression.
fn stored(out: &mut Vec<u8>, block: &[u8], is_last: bool) {
    let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
    out.push(is_last.into());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(block);
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::bufread::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn streams_are_one_member_with_pieces_in_any_order(
            texts in proptest::collection::vec(".{0,3000}|[ab]{0,9000}", 0..5),
            cut in 0..100_usize,
            reversed: bool,
            rest in proptest::collection::vec(any::<u8>(), 0..500),
            times in prop_oneof![Just(1), Just(400)],
        ) {
            let mut compressor = Compressor::new();
            let pieces = texts.iter().map(|text| {
                let (one, other) = text.as_bytes().split_at(cut.min(text.len()));
                let piece = compressor.piece([one, other].into_iter()).unwrap();
                (text, piece)
            });
            let mut pieces: Vec<_> = pieces.collect();
            if reversed {
                pieces.reverse();
            }
            let (mut stream, mut expected) = (HEADER.to_vec(), Vec::new());
            let mut checksum = Checksum::default();
            for (text, piece) in &pieces {
                checksum.add(piece);
                stream.extend_from_slice(&piece.bytes);
                expected.extend_from_slice(text.as_bytes());
            }
            let rest = rest.repeat(times);
            stream.extend_from_slice(&checksum.end(&rest));
            expected.extend_from_slice(&rest);
            let mut text = Vec::new();
            // reads one member and checks its checksum and length
            let mut decoder = GzDecoder::new(stream.as_slice());
            decoder.read_to_end(&mut text).unwrap();
            prop_assert_eq!(text, expected);
            prop_assert!(decoder.into_inner().is_empty());
        }
    }
}
