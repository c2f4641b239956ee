//! Response bodies made of shared pieces, which are neither copied nor joined.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes};

/// Lists of pieces, most of which are shared by many responses.
///
/// hyper passes many pieces to the system with one vectored write.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    lists: VecDeque<Arc<[Bytes]>>,
    /// The piece of the first list to read next, and how many of its bytes have been read.
    index: usize,
    offset: usize,
    remaining: usize,
}

impl Pieces {
    /// Returns a body of lists of pieces with a total of `length` bytes.
    pub fn new(lists: impl IntoIterator<Item = Arc<[Bytes]>>, length: usize) -> Self {
        let lists: VecDeque<_> = lists.into_iter().collect();
        let lengths = lists.iter().flat_map(|list| list.iter().map(Bytes::len));
        debug_assert_eq!(length, lengths.sum::<usize>());
        Self { lists, index: 0, offset: 0, remaining: length }
    }

    fn rest(&self) -> impl Iterator<Item = &[u8]> {
        let (mut index, mut offset) = (self.index, self.offset);
        let pieces = self.lists.iter().flat_map(move |list| {
            let from = std::mem::take(&mut index);
            list.get(from..).unwrap_or_default()
        });
        let pieces = pieces.map(move |piece| {
            let from = std::mem::take(&mut offset);
            piece.get(from..).unwrap_or_default()
        });
        pieces.filter(|piece| !piece.is_empty())
    }
}

impl<T: Into<Bytes>> From<T> for Pieces {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        let length = bytes.len();
        Self::new([Arc::from([bytes])], length)
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
        while let Some(list) = self.lists.front() {
            match list.get(self.index) {
                Some(piece) if left < piece.len() => break,
                Some(piece) => {
                    left -= piece.len();
                    self.index += 1;
                }
                None => {
                    self.lists.pop_front();
                    self.index = 0;
                }
            }
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
            others in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..3),
            steps in proptest::collection::vec(1..12_usize, 1..60),
            slices in 1..5_usize,
        ) {
            let whole = [shared.concat(), others.concat()].concat();
            let lists = [shared, Vec::new(), others];
            let lists = lists.map(|list| list.into_iter().map(Bytes::from).collect());
            let mut pieces = Pieces::new(lists, whole.len());
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
