//! Response bodies made of shared pieces, which are neither copied nor joined.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes};

/// Shared pieces and a last piece that belongs to one response.
///
/// hyper passes many pieces to the system with one vectored write.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    shared: Arc<[Bytes]>,
    last: Bytes,
    /// The piece to read next, and how many of its bytes have been read.
    index: usize,
    offset: usize,
    remaining: usize,
}

impl Pieces {
    /// Returns a body of shared pieces with a total of `length` bytes and a last piece.
    pub fn new(shared: Arc<[Bytes]>, length: usize, last: Bytes) -> Self {
        debug_assert_eq!(length, shared.iter().map(Bytes::len).sum::<usize>());
        Self { remaining: length + last.len(), shared, last, index: 0, offset: 0 }
    }

    fn rest(&self) -> impl Iterator<Item = &[u8]> {
        let shared = self.shared.get(self.index..).unwrap_or_default();
        let last = (self.index <= self.shared.len()).then_some(&self.last);
        let mut offset = self.offset;
        let pieces = shared.iter().chain(last).map(move |piece| {
            let from = std::mem::take(&mut offset);
            piece.get(from..).unwrap_or_default()
        });
        pieces.filter(|piece| !piece.is_empty())
    }
}

impl<T: Into<Bytes>> From<T> for Pieces {
    fn from(bytes: T) -> Self {
        Self::new(Arc::default(), 0, bytes.into())
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.rest().next().unwrap_or_default()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(self.rest()) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining, "cannot advance past the end");
        self.remaining -= count;
        let mut left = count + self.offset;
        while let Some(piece) = self.shared.get(self.index)
            && left >= piece.len()
        {
            left -= piece.len();
            self.index += 1;
        }
        self.offset = left;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_read_as_one_in_steps_of_any_size(
            shared in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..6),
            last in proptest::collection::vec(any::<u8>(), 0..9),
            steps in proptest::collection::vec(1..12_usize, 1..60),
            slices in 1..5_usize,
        ) {
            let whole = [shared.concat(), last.clone()].concat();
            let length = shared.iter().map(Vec::len).sum();
            let shared: Vec<_> = shared.into_iter().map(Bytes::from).collect();
            let mut pieces = Pieces::new(shared.into(), length, last.into());
            let mut read = 0;
            for step in steps {
                prop_assert_eq!(pieces.remaining(), whole.len() - read);
                prop_assert!(whole[read..].starts_with(pieces.chunk()));
                prop_assert_eq!(pieces.chunk().is_empty(), read == whole.len());
                let mut seen = vec![IoSlice::new(&[]); slices];
                let count = pieces.chunks_vectored(&mut seen);
                let seen = seen.iter().take(count).map(|slice| slice.to_vec());
                let seen: Vec<_> = seen.collect();
                prop_assert!(seen.iter().all(|slice| !slice.is_empty()));
                prop_assert!(whole[read..].starts_with(&seen.concat()));
                prop_assert!(count == slices || whole[read..] == seen.concat());
                let step = step.min(pieces.remaining());
                pieces.advance(step);
                read += step;
            }
            prop_assert_eq!(pieces.copy_to_bytes(pieces.remaining()), &whole[read..]);
        }
    }
}
