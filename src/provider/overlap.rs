//! Lists that are paged by offset, and campaigns that are deleted while one is read.
//!
//! A deleted campaign moves those behind it forward, so the next page would begin too late and hide as
//! many. Each page therefore begins with the last item of the page before. As long as the provider
//! keeps the order, a page with any item of the page before it misses nothing in between, whatever was
//! added or deleted. This is certain, other than a total, which an addition hides, or a second look at
//! the first page; and it is cheapest: one item a page, and no request unless a page lacks that item.
//! Then the read goes back. A first page of one item has no overlap, so it is read again at the end.
//!
//! Pages that are selected by their number cannot overlap. There, a total that shrinks is the sign, if
//! the provider reports one.

use std::collections::HashSet;

use super::source::{Ask, Page};
use crate::upstream::{PollError, Reason};

/// How often one read goes back. Deletions at this rate are not people's: the order is not kept.
const MAX_STEPS_BACK: usize = 10;

const MOVES: &str = "the list moves while it is read";

/// The last page of a list that is paged by offset.
#[derive(Default)]
pub(super) struct LastPage {
    ids: Vec<Option<String>>,
    total: Option<u64>,
    /// The first page, if it had no overlap.
    alone: Option<Vec<Option<String>>>,
    steps_back: usize,
}

impl LastPage {
    /// The request in place of the one that gave this page, if items between it and the last page may
    /// be missing; an error if that happens again and again, or if the pages are the same.
    pub(super) fn step_back(
        &mut self,
        ask: &Ask,
        page: &mut Page,
    ) -> Result<Option<Ask>, PollError> {
        let Some(paging) = &ask.paging else {
            return Ok(None);
        };
        let overlap = paging.overlap();
        let total = std::mem::replace(&mut self.total, page.total);
        let ids = std::mem::take(&mut page.ids);
        let last = std::mem::replace(&mut self.ids, ids);
        let fail = |message: &str| Err(PollError::new(Reason::Pagination, message));
        if ask.offset == 0 {
            match self.alone.take() {
                Some(first) if first == self.ids => *page = Page::default(),
                Some(_) if self.steps_back == MAX_STEPS_BACK => return fail(MOVES),
                Some(_) => self.steps_back += 1,
                None => {}
            }
            self.alone = (page.more && self.ids.len() <= overlap).then(|| self.ids.clone());
            return Ok(None);
        }
        let has_overlap = overlap > 0 && last.len() > overlap;
        let known: HashSet<&String> = last.iter().flatten().collect();
        let is_torn = match (last.last(), self.ids.first()) {
            (_, None) => has_overlap,
            (Some(Some(_)), Some(Some(_))) if has_overlap => {
                !self.ids.iter().flatten().any(|id| known.contains(id))
            }
            _ if overlap == 0 => {
                let shrank = |total| page.total.is_some_and(|now| now < total);
                total.is_some_and(shrank)
            }
            // an item without an id has nothing to compare
            _ => false,
        };
        if is_torn {
            if self.steps_back == MAX_STEPS_BACK {
                return fail(MOVES);
            }
            self.steps_back += 1;
            if overlap == 0 {
                // the page before is read again, and may begin as it did
                self.ids = Vec::new();
                let mut again = ask.clone().at(ask.offset.saturating_sub(paging.size));
                again.received = ask.received.saturating_sub(last.len());
                return Ok(Some(again));
            }
            self.ids = last;
            // half a page, so that the pages have to have another item in common
            return Ok(Some(ask.clone().at(ask.offset.saturating_sub(paging.size / 2))));
        }
        let first = self.ids.first().filter(|id| id.is_some());
        if first.is_some() && first == last.first() {
            return fail("a page repeats the one before");
        }
        // a total can promise more than there is
        if overlap > 0 && self.ids.len() <= overlap && self.ids.iter().all(|id| last.contains(id)) {
            page.more = false;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::provider::source::{Paging, Place};

    const SIZE: usize = 4;

    /// A page of items with another to follow, each an id or, for a dash, without one.
    fn page(ids: &str) -> Page {
        let ids = ids.chars().map(|id| (id != '-').then(|| id.to_string()));
        let ids: Vec<_> = ids.collect();
        Page { items: ids.len(), more: true, ids, ..Page::default() }
    }

    /// The offsets that a list is read at whose first pages are these, or the reason of the failure.
    fn offsets(pages: &[&str]) -> Result<Vec<usize>, Reason> {
        let mut last = LastPage::default();
        let mut asks = VecDeque::from([Ask::path("/").paged("offset", SIZE)]);
        let mut offsets = Vec::new();
        for ids in pages {
            let ask = asks.pop_front().unwrap();
            offsets.push(ask.offset);
            let mut page = page(ids);
            let again = last.step_back(&ask, &mut page);
            let again = again.map_err(|error| error.reason)?;
            let next = again.map_or_else(|| ask.after(&page), |again| vec![again]);
            next.into_iter().rev().for_each(|ask| asks.push_front(ask));
        }
        offsets.extend(asks.front().map(|ask| ask.offset));
        Ok(offsets)
    }

    #[test]
    fn a_page_without_any_item_of_the_one_before_is_a_step_back() {
        for (pages, expected) in [
            (&["abc"][..], &[0, 2][..]),
            (&["abcd", "defg", "gh"], &[0, 3, 6, 7]),
            // one deleted, which nothing tells from two
            (&["abcd", "efgh", "cdef", "fgh"], &[0, 3, 1, 4, 6]),
            // more than half a page
            (&["abcd", "defg", "mn", "klmn", "ghij", "jklm", "mn"], &[0, 3, 6, 4, 2, 5, 8, 9]),
            (&["abcd", "", "cd"], &[0, 3, 1, 2]),
            // only a total promises more
            (&["abcd", "defg", "g"], &[0, 3, 6]),
            // a first page without overlap, read again: it is the same, or another is in its place
            (&["a", "", "a"], &[0, 1, 0]),
            (&["a", "b", "", "a"], &[0, 1, 2, 0]),
            (&["a", "cd", "d", "b", "cd", "d", "b"], &[0, 1, 2, 0, 1, 2, 0]),
            (&["a", "cd", "d", "bcd", "d"], &[0, 1, 2, 0, 2]),
            // added, or in another order
            (&["abcd", "bcde", "efg"], &[0, 3, 6, 8]),
            (&["abcd", "fged", "dh"], &[0, 3, 6, 7]),
            // nothing to compare
            (&["abc-", "efgh", "-ij"], &[0, 3, 6, 8]),
            (&["----", "----", "-"], &[0, 3, 6]),
        ] {
            assert_eq!(offsets(pages).unwrap(), expected, "{pages:?}");
        }
    }

    #[test]
    fn a_total_that_shrinks_between_numbered_pages_is_a_page_back() {
        let paging = Paging {
            parameter: "page".into(),
            place: Place::Query,
            size: SIZE,
            first_page: Some(1),
        };
        for (pages, expected) in [
            (&[("abcd", 6), ("ef", 6)][..], &[1, 2, 3][..]),
            // one of the first two pages is deleted; an addition hides nothing
            (&[("abcd", 12), ("efgh", 12), ("jkl", 11), ("eghi", 11)], &[1, 2, 3, 2, 3]),
            (&[("abcd", 8), ("efg", 7), ("abcd", 7)], &[1, 2, 1, 2]),
            (&[("abcd", 8), ("defg", 9)], &[1, 2, 3]),
        ] {
            let mut last = LastPage::default();
            let mut ask = Ask::path("/").paged_by(paging.clone());
            let mut numbers = vec![1];
            for (ids, total) in pages {
                let mut page = page(ids);
                page.total = Some(*total);
                let again = last.step_back(&ask, &mut page).unwrap();
                ask = again.unwrap_or_else(|| ask.after(&page).remove(0));
                numbers.push(ask.query[0].1.parse::<usize>().unwrap());
            }
            assert_eq!(numbers, expected, "{pages:?}");
        }
    }

    #[test]
    fn a_list_that_never_stops_moving_or_repeats_itself_fails() {
        assert_eq!(offsets(&["abcd", "abcd"]), Err(Reason::Pagination));
        let moving = ["a", "", "b", ""].repeat(MAX_STEPS_BACK);
        assert_eq!(offsets(&moving), Err(Reason::Pagination));
        let mut last = LastPage::default();
        let first = Ask::path("/").paged("offset", SIZE);
        last.step_back(&first, &mut page("abcd")).unwrap();
        let mut moved = || last.step_back(&first.clone().at(9), &mut page("wxyz"));
        for _ in 0..MAX_STEPS_BACK {
            assert_eq!(moved().unwrap().unwrap().offset, 7);
        }
        assert_eq!(moved().unwrap_err().reason, Reason::Pagination);
    }
}
