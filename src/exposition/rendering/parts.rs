//! Parts of an exposition: texts that are rendered and compressed once and then shared.

use std::collections::hash_map::{Entry, HashMap};
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::exposition::gzip::{Compressor, Deflated};

/// Size in bytes from which a part is compressed on its own. Compression starts without a history
/// each time, so smaller parts would compress badly.
const LARGE: usize = 4096;

/// Identifies a part among all parts of the same [`PartMaker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PartId(u64);

/// A text that is always sent as a whole.
#[derive(Debug)]
pub(super) struct Part {
    id: PartId,
    pub(super) text: Bytes,
    pub(super) deflated: Arc<Deflated>,
    /// Whether the next part begins a new run.
    ends_run: bool,
}

impl Part {
    fn is_large(&self) -> bool {
        self.text.len() >= LARGE
    }
}

/// Makes parts, and compresses small adjacent parts together, in runs.
#[derive(Debug)]
pub(super) struct PartMaker {
    compressor: Compressor,
    next_id: u64,
    runs: HashMap<Vec<PartId>, Run>,
}

/// Parts that were compressed together.
#[derive(Debug)]
struct Run {
    deflated: Arc<Deflated>,
    is_used: bool,
}

impl PartMaker {
    /// Returns a maker without runs.
    pub(super) fn new() -> Self {
        Self { compressor: Compressor::new(), next_id: 0, runs: HashMap::new() }
    }

    /// Makes a part. `ends_run` asks for a new run after it; large parts are runs of their own
    /// in any case.
    pub(super) fn part(&mut self, text: &str, ends_run: bool) -> io::Result<Arc<Part>> {
        let text = Bytes::copy_from_slice(text.as_bytes());
        let deflated = self.compressor.piece([text.as_ref()].into_iter())?;
        let id = PartId(self.next_id);
        self.next_id += 1;
        Ok(Arc::new(Part {
            id,
            deflated: Arc::new(deflated),
            ends_run: ends_run || text.len() >= LARGE,
            text,
        }))
    }

    /// Returns the compressed runs of some parts. Only new runs are compressed.
    pub(super) fn runs(&mut self, parts: &[Arc<Part>]) -> io::Result<Vec<Arc<Deflated>>> {
        parts
            .chunk_by(|part, next| !part.ends_run && !next.is_large())
            .map(|run| self.run(run))
            .collect()
    }

    fn run(&mut self, parts: &[Arc<Part>]) -> io::Result<Arc<Deflated>> {
        if let [part] = parts {
            return Ok(Arc::clone(&part.deflated));
        }
        let run = match self.runs.entry(parts.iter().map(|part| part.id).collect()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let texts = parts.iter().map(|part| part.text.as_ref());
                entry.insert(Run {
                    deflated: Arc::new(self.compressor.piece(texts)?),
                    is_used: true,
                })
            }
        };
        run.is_used = true;
        Ok(Arc::clone(&run.deflated))
    }

    /// Forgets the runs that were not used since the last call.
    pub(super) fn forget_unused_runs(&mut self) {
        self.runs.retain(|_, run| std::mem::take(&mut run.is_used));
    }
}
