//! The open connections: how many there may be, and which one is closed to accept another.
//!
//! A new connection is always accepted. If there are too many, the peer with the most connections
//! loses one: the one that has been idle longest, or, if none is idle, the one with the longest
//! running request. Idle means without a request; an HTTP/2 connection that only answers pings is
//! idle. Every connection has a moment of grace to send a request: otherwise, a flood of connections
//! would close those of scrapers during the TLS handshake. A process that may open few files has fewer
//! connections, which have a shorter grace, so that a flood takes as long to be turned away.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::upstream::error::is_out_of_files;

/// Maximum number of concurrent connections. A Prometheus server keeps one or two.
const MAX_CONNECTIONS: u16 = 256;

/// How many times as many there may be while those that could be closed are in their moment of grace,
/// or are being closed. More wait to be accepted.
const IN_GRACE: u16 = 3;

/// The part of the open files that connections may have: a half. The other one is for polls and storage.
const PART_OF_FILES: u64 = 2;

/// How long a connection may take to send its first request, including the TLS handshake.
pub const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may be idle after a request. It exceeds the usual scrape intervals, so that
/// scrapers can reuse their connections.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// How long connections are not closed to make room after they became idle or busy, if there may be
/// [`MAX_CONNECTIONS`]: some round trips.
const GRACE: Duration = Duration::from_secs(1);

/// Minimum of the grace if there are fewer: a TLS handshake.
pub(super) const MIN_GRACE: Duration = Duration::from_millis(100);

/// The part of the grace of a connection that has sent nothing. Clients send immediately, but may run on
/// a busy machine.
const PART_IF_SILENT: u32 = 4;

/// How long to wait for a file after all others are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Minimum time between two warnings about too many connections.
const WARNING_INTERVAL: Duration = Duration::from_mins(10);

/// The origin of connections: an IPv4 address, or the /64 network of an IPv6 address, because a host
/// has as many addresses in it as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64 << 64;
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// The open connections of all listeners.
#[derive(Debug)]
pub struct Connections {
    table: Mutex<Table>,
    /// Notified when a connection no longer has a file.
    freed: Notify,
    limit: u16,
    grace: Duration,
    dropped: IntCounter,
}

#[derive(Debug, Default)]
struct Table {
    /// Those that have a file.
    entries: BTreeMap<u64, Entry>,
    /// The number of connections so far.
    accepted: u64,
    warned: Option<Instant>,
}

/// What is known of a connection.
#[derive(Debug)]
struct Entry {
    peer: Peer,
    /// Requests without a complete response.
    requests: usize,
    progress: Progress,
    /// When it became idle or busy.
    since: Instant,
    /// Canceled to close the connection, which has its file until it is removed from the table.
    close: CancellationToken,
}

/// What a connection was used for so far, from the most expendable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Silent,
    Accepted,
    HasSent,
    HasRequested,
    WasServed,
}

impl Table {
    /// Returns the connections that are not being closed.
    fn open(&self) -> impl Iterator<Item = (&u64, &Entry)> {
        self.entries.iter().filter(|(_, entry)| !entry.close.is_cancelled())
    }

    /// Returns the connection that has to make room for another, and when.
    fn expendable(&self, grace: Duration) -> Option<(u64, Instant)> {
        let mut by_peer = HashMap::<Peer, usize>::new();
        for (_, entry) in self.open() {
            *by_peer.entry(entry.peer).or_default() += 1;
        }
        let grace_ends = |entry: &Entry| match entry.progress {
            Progress::Silent => entry.since + grace / PART_IF_SILENT,
            _ => entry.since + grace,
        };
        let now = Instant::now();
        let expendable = self.open().min_by_key(|(_, entry)| {
            (
                Reverse(by_peer.get(&entry.peer)),
                entry.requests > 0,
                grace_ends(entry).max(now),
                entry.progress,
                entry.since,
            )
        });
        expendable.map(|(id, entry)| (*id, grace_ends(entry)))
    }

    /// Returns whether a warning is due.
    fn warns(&mut self) -> bool {
        let is_due = self.warned.is_none_or(|at| at.elapsed() > WARNING_INTERVAL);
        if is_due {
            self.warned = Some(Instant::now());
        }
        is_due
    }
}

impl Connections {
    /// Returns an empty table that counts the connections closed to make room, in a process that may
    /// open `files`, if these are limited.
    pub fn new(files: Option<u64>, dropped: IntCounter) -> Arc<Self> {
        let files = files.unwrap_or(u64::MAX) / PART_OF_FILES / u64::from(IN_GRACE);
        let limit = u16::try_from(files).unwrap_or(u16::MAX).clamp(1, MAX_CONNECTIONS);
        let grace = (GRACE * u32::from(limit) / u32::from(MAX_CONNECTIONS)).max(MIN_GRACE);
        Arc::new(Self { table: Mutex::default(), freed: Notify::new(), limit, grace, dropped })
    }

    /// Adds a connection. If there are too many, closes others whose grace has ended.
    pub async fn add(self: &Arc<Self>, peer: Peer) -> Connection {
        while let Some(grace_ends) = self.make_room() {
            tokio::time::timeout_at(grace_ends, self.freed.notified()).await.ok();
        }
        let close = CancellationToken::new();
        let mut table = self.table();
        let id = table.accepted;
        table.accepted += 1;
        let entry = Entry {
            peer,
            requests: 0,
            progress: Progress::Accepted,
            since: Instant::now(),
            close: close.clone(),
        };
        table.entries.insert(id, entry);
        Connection { id, peer, close, connections: Arc::clone(self) }
    }

    /// Closes connections if there are too many. Returns when to try again, at the latest, if all that
    /// can be closed are in their moment of grace or being closed, and these are too many, too.
    fn make_room(&self) -> Option<Instant> {
        let mut table = self.table();
        let mut retry = Instant::now() + self.grace;
        while table.open().count() >= self.limit.into() {
            let (id, grace_ends) = table.expendable(self.grace)?;
            if grace_ends > Instant::now() {
                retry = grace_ends;
                break;
            }
            self.close(&mut table, id);
        }
        (table.entries.len() >= (IN_GRACE * self.limit).into()).then_some(retry)
    }

    fn close(&self, table: &mut Table, id: u64) {
        let Some(entry) = table.entries.get(&id) else { return };
        let peer = entry.peer.0;
        entry.close.cancel();
        self.dropped.inc();
        if table.warns() {
            warn!(
                limit = self.limit,
                %peer,
                "too many connections: closing those of the peer with the most, idle ones first"
            );
        }
    }

    /// Closes a connection, even in its moment of grace, because another one cannot be accepted. Returns
    /// once that may be possible.
    pub async fn cannot_accept(&self, error: &io::Error) {
        {
            let mut table = self.table();
            if table.warns() {
                warn!(%error, "cannot accept a connection");
            }
            if is_out_of_files(error)
                && let Some((id, _)) = table.expendable(self.grace)
            {
                self.close(&mut table, id);
            }
        }
        tokio::time::timeout(ACCEPT_PAUSE, self.freed.notified()).await.ok();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open connection. Dropping it removes it from the table.
#[derive(Debug)]
pub struct Connection {
    id: u64,
    peer: Peer,
    close: CancellationToken,
    connections: Arc<Connections>,
}

impl Connection {
    /// Returns the origin.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Waits until the connection has to make room for another, or has not sent its first request in
    /// time.
    pub async fn to_close(&self) {
        let late = async {
            tokio::time::sleep(FIRST_REQUEST_TIMEOUT).await;
            let progress = self.entry(|entry| entry.progress);
            if progress.is_some_and(|progress| progress >= Progress::HasRequested) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = self.close.cancelled() => {}
            () = late => {}
        }
    }

    /// Waits until the connection has been idle for too long.
    pub async fn idle(&self) {
        loop {
            let idle_since = self.entry(|entry| (entry.requests == 0).then_some(entry.since));
            let now = Instant::now();
            let end = idle_since.flatten().unwrap_or(now) + IDLE_TIMEOUT;
            if end <= now {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }

    /// Records that the program looks for data of the client. On a busy machine, this is later than its
    /// arrival.
    pub fn is_silent(&self) {
        self.entry(|entry| (entry.progress, entry.since) = (Progress::Silent, Instant::now()));
    }

    /// Records that the client has sent something.
    pub fn has_sent(&self) {
        self.entry(|entry| (entry.progress, entry.since) = (Progress::HasSent, Instant::now()));
    }

    /// Removes the connection, which no longer has a file. What remains of its requests may keep it.
    pub fn is_closed(&self) {
        self.connections.table().entries.remove(&self.id);
        self.connections.freed.notify_one();
    }

    /// Starts a request, which lasts until it is dropped.
    pub fn request(self: &Arc<Self>) -> RunningRequest {
        self.entry(|entry| {
            entry.progress = entry.progress.max(Progress::HasRequested);
            if entry.requests == 0 {
                entry.since = Instant::now();
            }
            entry.requests += 1;
        });
        RunningRequest(Arc::clone(self))
    }

    /// Accesses what is known of the connection, unless it is being closed.
    fn entry<T>(&self, access: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.connections.table().entries.get_mut(&self.id).map(access)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.is_closed();
    }
}

/// A request whose response is not complete.
#[derive(Debug)]
pub struct RunningRequest(Arc<Connection>);

impl RunningRequest {
    /// Records that the client gets what it requested.
    pub fn is_served(&self) {
        self.0.entry(|entry| entry.progress = Progress::WasServed);
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.0.entry(|entry| {
            entry.requests -= 1;
            if entry.requests == 0 {
                entry.since = Instant::now();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many connections there may be if files are not limited.
    const LIMIT: usize = MAX_CONNECTIONS as usize;

    fn peer(address: &str) -> Peer {
        Peer::from(address.parse::<IpAddr>().unwrap())
    }

    fn connections() -> Arc<Connections> {
        with_files(None)
    }

    fn with_files(files: Option<u64>) -> Arc<Connections> {
        Connections::new(files, IntCounter::new("dropped", "Dropped.").unwrap())
    }

    /// Opens connections of a peer, a second apart.
    async fn open(
        connections: &Arc<Connections>,
        from: &str,
        number: usize,
    ) -> Vec<Arc<Connection>> {
        let mut opened = Vec::new();
        for _ in 0..number {
            opened.push(Arc::new(connections.add(peer(from)).await));
            tokio::time::advance(SECOND).await;
        }
        opened
    }

    fn closed(connections: &[Arc<Connection>]) -> Vec<usize> {
        let closed = connections.iter().map(|one| one.close.is_cancelled());
        (0..).zip(closed).filter_map(|(index, closed)| closed.then_some(index)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_connection_of_the_largest_peer_makes_room() {
        let table = connections();
        let scraper = open(&table, "10.0.0.1", 2).await;
        let flood = open(&table, "10.0.0.2", LIMIT - 2).await;
        assert!(closed(&flood).is_empty());
        let running = (flood[0].request(), flood[2].request());
        drop(running.1);
        let more = open(&table, "10.0.0.2", 2).await;
        // 0 has a request, 2 had one just now
        assert_eq!(closed(&flood), [1, 3]);
        let probe = open(&table, "::1", 1).await;
        assert_eq!(closed(&flood), [1, 3, 4]);
        assert_eq!((closed(&scraper), closed(&more), closed(&probe)), (vec![], vec![], vec![]));
        assert_eq!(table.dropped.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_running_request_makes_room_if_none_is_idle() {
        let table = connections();
        let flood = open(&table, "10.0.0.2", LIMIT).await;
        let mut running = Vec::new();
        for connection in flood.iter().rev() {
            running.push(connection.request());
            tokio::time::advance(SECOND).await;
        }
        let _probe = open(&table, "10.0.0.1", 1).await;
        assert_eq!(closed(&flood), [LIMIT - 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_have_a_moment_to_send_their_request() {
        for (files, most, grace) in [
            (None, 3 * LIMIT, GRACE),
            (Some(256), 126, GRACE * 42 / 256),
            (Some(40), 18, MIN_GRACE),
        ] {
            let table = with_files(files);
            let mut flood = JoinSet::new();
            let mut open = async || {
                let connection = table.add(peer("10.0.0.2")).await;
                connection.is_silent();
                flood.spawn(async move { connection.close.cancelled().await });
            };
            let start = Instant::now();
            for _ in 0..most {
                open().await;
            }
            assert_eq!((start.elapsed(), table.dropped.get()), (Duration::ZERO, 0));
            open().await;
            let early = start.elapsed().abs_diff(grace / PART_IF_SILENT);
            assert!(early <= Duration::from_millis(1), "{early:?}");
            assert_eq!(table.dropped.get(), most as u64 * 2 / 3 + 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_were_served_are_kept_longest() {
        let table = connections();
        let served = open(&table, "10.0.0.1", 1).await;
        served[0].request().is_served();
        let refused = open(&table, "10.0.0.1", LIMIT - 1).await;
        for connection in &refused {
            drop(connection.request());
        }
        tokio::time::advance(GRACE).await;
        let mut more = Vec::new();
        for _ in &refused {
            more.push(table.add(peer("10.0.0.1")).await);
        }
        assert_eq!(closed(&refused).len(), refused.len());
        assert!(closed(&served).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn closed_connections_make_room() {
        let table = connections();
        let flood = open(&table, "10.0.0.2", LIMIT).await;
        let rest = flood.split_first().unwrap().1.to_vec();
        drop(flood);
        let _probe = open(&table, "10.0.0.1", 1).await;
        assert_eq!((closed(&rest), table.dropped.get()), (vec![], 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_ends_soon_and_an_idle_one_later() {
        let table = connections();
        let silent = Arc::new(table.add(peer("10.0.0.1")).await);
        let used = Arc::new(table.add(peer("10.0.0.1")).await);
        drop(used.request());
        let start = Instant::now();
        silent.to_close().await;
        assert_eq!(start.elapsed(), FIRST_REQUEST_TIMEOUT);
        used.idle().await;
        assert_eq!(start.elapsed(), IDLE_TIMEOUT);
        let running = used.request();
        let idle = tokio::time::timeout(2 * IDLE_TIMEOUT, used.idle());
        assert!(idle.await.is_err(), "it has a request");
        drop(running);
        let end = Instant::now();
        used.idle().await;
        assert_eq!(end.elapsed(), IDLE_TIMEOUT);
    }

    #[test]
    fn peers_are_ipv4_addresses_and_ipv6_networks() {
        assert_eq!(peer("10.0.0.1"), peer("::ffff:10.0.0.1"));
        assert_ne!(peer("10.0.0.1"), peer("10.0.0.2"));
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:1"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
    }
}
