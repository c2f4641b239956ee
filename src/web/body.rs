//! Response bodies: prepared pieces, or chunks that are made while they are sent.

use std::fmt;

use bytes::{Buf, Bytes};

use crate::exposition::pieces::Pieces;

/// A response body.
pub enum Body {
    /// Everything at once, until it is taken.
    Whole(Option<Pieces>),
    /// Chunks. Each is made once the client has read most of those before.
    Chunks(Box<dyn Iterator<Item = Bytes> + Send>),
}

impl Body {
    /// The next chunk.
    pub fn next_pieces(&mut self) -> Option<Pieces> {
        match self {
            Self::Whole(pieces) => pieces.take().filter(Buf::has_remaining),
            Self::Chunks(chunks) => chunks.next().map(Pieces::from),
        }
    }

    /// The number of bytes left, if it is known.
    pub fn length(&self) -> Option<usize> {
        match self {
            Self::Whole(pieces) => Some(pieces.as_ref().map_or(0, Buf::remaining)),
            Self::Chunks(_) => None,
        }
    }
}

impl<T: Into<Pieces>> From<T> for Body {
    fn from(pieces: T) -> Self {
        Self::Whole(Some(pieces.into()))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Body").field("length", &self.length()).finish_non_exhaustive()
    }
}
