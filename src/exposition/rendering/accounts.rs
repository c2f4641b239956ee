//! The parts of an account. Campaigns are rendered in chunks, so that a change renders only the
//! chunks it affects.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;

use chrono_tz::Tz;

use super::parts::{Part, PartMaker};
use crate::campaign::Campaign;
use crate::campaign::exported::Exported;
use crate::exposition::families::{
    ACCOUNT_FAMILIES, CAMPAIGN_FAMILIES, CampaignRows, write_account,
};
use crate::state::snapshot::{AccountState, Revision};

/// Average number of campaigns in a chunk. Larger chunks make changes cost more time, smaller ones
/// take more memory.
const CHUNK: u64 = 256;

/// Upper bound on the campaigns in a chunk, for ids that end chunks too rarely.
const MAX_CHUNK: usize = 2048;

/// Average number of small parts in a run. If one of them changes, the whole run is compressed
/// again.
pub(super) const RUN: u64 = 16;

/// An account in parts.
#[derive(Debug)]
pub(super) struct AccountParts {
    pub(super) name: String,
    pub(super) provider: Arc<str>,
    pub(super) revision: Revision,
    info_labels: Vec<Arc<str>>,
    reporting_time_zone: Tz,
    exported: Exported,
    /// Number of campaign series.
    pub(super) series: usize,
    chunks: Vec<Arc<Chunk>>,
    /// Samples in each of the [`ACCOUNT_FAMILIES`], if any.
    own: Vec<Option<Arc<Part>>>,
}

/// Adjacent campaigns that are rendered together.
#[derive(Debug)]
struct Chunk {
    campaigns: Box<[Arc<Campaign>]>,
    /// Number of campaigns older than `detail`. Age orders them, so equal numbers are equal campaigns.
    older: usize,
    series: usize,
    /// Samples in each of the [`CAMPAIGN_FAMILIES`], if any.
    parts: Vec<Option<Arc<Part>>>,
}

impl AccountParts {
    /// Renders an account. Reuses the parts of `previous` that are still the same.
    pub(super) fn new(
        state: &AccountState,
        previous: Option<&Self>,
        maker: &mut PartMaker,
    ) -> io::Result<Self> {
        let name = state.account.name.as_str();
        let (provider, info_labels) = (state.account.provider.name(), state.info_labels());
        let reporting_time_zone = state.account.polling.reporting_time_zone;
        let exported = state.account.polling.exported;
        // every chunk depends on these
        let previous = previous.filter(|previous| {
            previous.provider == *provider
                && previous.info_labels == info_labels
                && previous.reporting_time_zone == reporting_time_zone
                && previous.exported == exported
        });
        let previous_chunks = previous.map_or(&[][..], |previous| &previous.chunks);
        let chunks = chunks(state, previous_chunks, maker)?;
        let mut text = String::new();
        let own = ACCOUNT_FAMILIES.iter().enumerate().map(|(index, family)| {
            text.clear();
            write_account(&mut text, family, state);
            let previous = previous.and_then(|previous| previous.own.get(index)?.as_ref());
            samples(&text, previous, (name, index), maker)
        });
        Ok(Self {
            own: own.collect::<io::Result<_>>()?,
            name: name.to_owned(),
            revision: state.revision,
            provider: Arc::clone(provider),
            info_labels: info_labels.to_vec(),
            reporting_time_zone,
            exported,
            series: chunks.iter().map(|chunk| chunk.series).sum(),
            chunks,
        })
    }

    /// Returns the samples of a family. `index` counts the campaign families first, then the
    /// account families.
    pub(super) fn family(&self, index: usize) -> impl Iterator<Item = &Arc<Part>> {
        let own = index.checked_sub(CAMPAIGN_FAMILIES.len());
        let own = own.and_then(|index| self.own.get(index));
        let chunks = self.chunks.iter();
        let chunks = chunks.filter_map(move |chunk| chunk.parts.get(index));
        chunks.chain(own).flatten()
    }
}

/// Renders the campaigns of an account. Reuses the previous chunks that are still the same.
fn chunks(
    state: &AccountState,
    previous: &[Arc<Chunk>],
    maker: &mut PartMaker,
) -> io::Result<Vec<Arc<Chunk>>> {
    let mut previous: HashMap<_, _> = previous
        .iter()
        .filter_map(|chunk| Some((chunk.campaigns.last()?.id.as_str(), chunk)))
        .collect();
    let chunks = chunked(state.campaigns()).map(|campaigns| {
        let last = campaigns.last();
        let previous = last.and_then(|last| previous.remove(last.id.as_str()));
        match previous {
            Some(chunk)
                if are_shared(&chunk.campaigns, campaigns)
                    && chunk.older == state.older(campaigns) =>
            {
                Ok(Arc::clone(chunk))
            }
            previous => Chunk::new(state, campaigns, previous.map(AsRef::as_ref), maker),
        }
    });
    chunks.collect()
}

impl Chunk {
    fn new(
        state: &AccountState,
        campaigns: &[Arc<Campaign>],
        previous: Option<&Self>,
        maker: &mut PartMaker,
    ) -> io::Result<Arc<Self>> {
        let name = state.account.name.as_str();
        let last = campaigns.last().map(|campaign| campaign.id.as_str());
        let rows = CampaignRows::new(state, campaigns);
        let mut text = String::new();
        let mut series = 0;
        let parts = CAMPAIGN_FAMILIES.iter().enumerate().map(|(index, family)| {
            text.clear();
            series += rows.write(&mut text, index, family);
            let previous = previous.and_then(|previous| previous.parts.get(index)?.as_ref());
            samples(&text, previous, (name, last, index), maker)
        });
        Ok(Arc::new(Self {
            parts: parts.collect::<io::Result<_>>()?,
            campaigns: campaigns.into(),
            older: state.older(campaigns),
            series,
        }))
    }
}

/// Returns the previous part if its text is the same, otherwise a new one. Where runs end depends
/// only on `place`, so that a change of text moves no boundary.
fn samples(
    text: &str,
    previous: Option<&Arc<Part>>,
    place: impl Hash,
    maker: &mut PartMaker,
) -> io::Result<Option<Arc<Part>>> {
    if text.is_empty() {
        return Ok(None);
    }
    match previous {
        Some(previous) if previous.text == text.as_bytes() => Ok(Some(Arc::clone(previous))),
        _ => maker.part(text, is_one_of(RUN, place)).map(Some),
    }
}

/// Splits campaigns into chunks. Where chunks end depends only on the ids, so that a campaign that
/// is added or removed changes only its own chunk.
fn chunked(campaigns: &[Arc<Campaign>]) -> impl Iterator<Item = &[Arc<Campaign>]> {
    let chunks = campaigns.chunk_by(|campaign, _| !is_one_of(CHUNK, &campaign.id));
    chunks.flat_map(|chunk| chunk.chunks(MAX_CHUNK))
}

/// Whether a value is among those picked, on average one in `count`.
fn is_one_of(count: u64, value: impl Hash) -> bool {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish().is_multiple_of(count)
}

/// Whether both slices share the same campaigns. Compares pointers: unchanged campaigns are shared.
fn are_shared(previous: &[Arc<Campaign>], current: &[Arc<Campaign>]) -> bool {
    previous.len() == current.len() && previous.iter().zip(current).all(|(a, b)| Arc::ptr_eq(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_bounded_for_any_ids() {
        let campaign = Arc::new(Campaign::default());
        let campaigns = vec![campaign; MAX_CHUNK + 1];
        let sizes: Vec<_> = chunked(&campaigns).map(<[_]>::len).collect();
        assert!(sizes == [MAX_CHUNK, 1] || sizes.iter().all(|size| *size == 1));
    }
}
