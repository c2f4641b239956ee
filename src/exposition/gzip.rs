//! Gzip streams made of pieces that are compressed once and an end that is new at each scrape.
//!
//! A series of gzip members would also be valid (RFC 1952, 2.2), but some readers stop after the
//! first member. Each piece is therefore kept as raw deflate blocks that end at a byte boundary, do
//! not end the stream and do not refer to earlier data. The checksums are combined.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

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

/// Size of a text in bytes from which its compressed bytes are kept next to those of its neighbors.
const LARGE: u32 = 4096;

/// Average number of pieces that are kept next to each other. The system takes half the time to send a few
/// large pieces of memory that it takes for many small ones; larger ones cost more to copy after a change.
const BLOCK: u32 = 24;

/// A text compressed on its own, which can be placed anywhere in a stream.
#[derive(Debug)]
pub struct Deflated {
    place: Mutex<Place>,
    checksum: Crc,
    /// Whether it is one text, so that all streams have the same neighbors next to it.
    is_single: bool,
}

/// Where compressed bytes are.
#[derive(Clone, Debug)]
struct Place {
    block: Bytes,
    range: Range<usize>,
}

impl Deflated {
    fn place(&self) -> Place {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it is kept next to the following piece. Depends only on the texts, so that a change moves
    /// few of the others.
    fn joins(&self, next: &Self) -> bool {
        let is_large = |piece: &Self| piece.is_single && piece.checksum.amount() >= LARGE;
        is_large(self) && is_large(next) && !self.checksum.sum().is_multiple_of(BLOCK)
    }
}

/// Pieces of a stream.
#[derive(Debug, Default)]
pub struct Stream {
    /// The compressed bytes.
    pub pieces: Vec<Bytes>,
    /// Their checksum.
    pub checksum: Checksum,
}

impl Stream {
    /// Returns a stream of pieces as they are.
    pub fn apart<'a>(deflated: impl Iterator<Item = &'a Arc<Deflated>>) -> Self {
        let mut stream = Self::default();
        for piece in deflated {
            let Place { block, range } = piece.place();
            stream.pieces.push(block.slice(range));
            stream.checksum.add(piece);
        }
        stream
    }

    /// Returns a stream of pieces after moving large ones next to each other. One stream at a time may
    /// have the same pieces.
    pub fn joined(deflated: &[Arc<Deflated>]) -> Self {
        let mut stream = Self::default();
        for neighbors in deflated.chunk_by(|piece, next| piece.joins(next)) {
            stream.pieces.push(block(neighbors));
            for piece in neighbors {
                stream.checksum.add(piece);
            }
        }
        stream
    }
}

/// Returns the block of some pieces, which moves them unless they have one of their own already.
fn block(neighbors: &[Arc<Deflated>]) -> Bytes {
    let places: Vec<_> = neighbors.iter().map(|piece| piece.place()).collect();
    let known = places.first().map(|place| place.block.clone()).unwrap_or_default();
    let mut end = 0;
    let is_next = |place: &Place| {
        let begin = std::mem::replace(&mut end, place.range.end);
        place.range.start == begin && place.block.as_ptr() == known.as_ptr()
    };
    if places.iter().all(is_next) && end == known.len() {
        return known;
    }
    let mut bytes = Vec::with_capacity(places.iter().map(|place| place.range.len()).sum());
    let mut ranges = Vec::new();
    for place in &places {
        let begin = bytes.len();
        bytes.extend_from_slice(place.block.get(place.range.clone()).unwrap_or_default());
        ranges.push(begin..bytes.len());
    }
    let block = Bytes::from(bytes);
    for (piece, range) in neighbors.iter().zip(ranges) {
        let place = Place { block: block.clone(), range };
        *piece.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
    block
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
        let (mut checksum, mut count) = (Crc::new(), 0);
        for part in parts {
            count += 1;
            checksum.update(part);
            self.deflate(part, FlushCompress::None)?;
        }
        // a sync flush ends at a byte boundary, and more can follow
        self.deflate(&[], FlushCompress::Sync)?;
        let block = Bytes::copy_from_slice(&self.out);
        let place = Place { range: 0..block.len(), block };
        Ok(Deflated { place: Mutex::new(place), checksum, is_single: count == 1 })
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

    #[test]
    fn large_pieces_are_moved_next_to_each_other_until_one_changes() {
        let mut compressor = Compressor::new();
        let mut piece = |size: usize, char: u8| {
            Arc::new(compressor.piece([vec![char; size].as_slice()].into_iter()).unwrap())
        };
        let large = LARGE as usize;
        let mut pieces: Vec<_> = (0..100).map(|number| piece(large + number, b'a')).collect();
        pieces.insert(50, piece(large - 1, b'b'));
        let check = |pieces: &[Arc<Deflated>]| {
            let (apart, joined) = (Stream::apart(pieces.iter()), Stream::joined(pieces));
            assert_eq!(apart.pieces.concat(), joined.pieces.concat());
            assert_eq!(apart.checksum.0.sum(), joined.checksum.0.sum());
            assert_eq!(apart.pieces.concat(), Stream::apart(pieces.iter()).pieces.concat());
            joined.pieces
        };
        let first = check(&pieces);
        assert!((3..20).contains(&first.len()), "{}", first.len());
        assert!(first.contains(&pieces[50].place().block), "a small one is not moved");
        let addresses =
            |blocks: &[Bytes]| -> Vec<_> { blocks.iter().map(|it| it.as_ptr()).collect() };
        assert_eq!(addresses(&first), addresses(&check(&pieces)));
        pieces[10] = piece(large + 10, b'c');
        let changed = addresses(&check(&pieces));
        let same = addresses(&first).into_iter().filter(|block| changed.contains(block)).count();
        assert!(same >= first.len() - 2, "{same} of {}", first.len());
    }

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
                stream.extend_from_slice(&piece.place().block);
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
