//! The open connections: how many there may be, and which one is closed to accept another.
//!
//! A new connection is always accepted. If there are too many, the peer with the most connections
//! loses one: the one that has been idle longest, or, if none is idle, the one with the longest
//! running request. Idle means without a request; an HTTP/2 connection that only answers pings is
//! idle. Every connection has a moment of grace to send a request: otherwise, a flood of connections
//! would close those of scrapers during the TLS handshake.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Maximum number of concurrent connections. A Prometheus server keeps one or two.
const MAX_CONNECTIONS: usize = 256;

/// Maximum number of concurrent connections while those that could be closed are in their moment of
/// grace. More wait to be accepted. A process may usually have 1024 open files.
const MAX_IN_GRACE: usize = 3 * MAX_CONNECTIONS;

/// How long a connection may take to send its first request, including the TLS handshake.
pub const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may be idle after a request. It exceeds the usual scrape intervals, so that
/// scrapers can reuse their connections.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// How long a connection that has sent nothing is not closed to make room. Clients send immediately, but
/// may run on a busy machine.
const SILENT_GRACE: Duration = Duration::from_millis(250);

/// How long other connections are not closed to make room after they became idle or busy: some round
/// trips.
const GRACE: Duration = Duration::from_secs(1);

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
    dropped: IntCounter,
}

#[derive(Debug, Default)]
struct Table {
    open: BTreeMap<u64, Entry>,
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
    /// Canceled to close the connection.
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

impl Entry {
    /// Returns when the connection may be closed to make room.
    fn grace_ends(&self) -> Instant {
        match self.progress {
            Progress::Silent => self.since + SILENT_GRACE,
            _ => self.since + GRACE,
        }
    }
}

impl Table {
    /// Returns the connection that has to make room for another, and when.
    fn expendable(&self) -> Option<(u64, Instant)> {
        let mut by_peer = HashMap::<Peer, usize>::new();
        for entry in self.open.values() {
            *by_peer.entry(entry.peer).or_default() += 1;
        }
        let now = Instant::now();
        let expendable = self.open.iter().min_by_key(|(_, entry)| {
            (
                Reverse(by_peer.get(&entry.peer)),
                entry.requests > 0,
                entry.grace_ends().max(now),
                entry.progress,
                entry.since,
            )
        });
        expendable.map(|(id, entry)| (*id, entry.grace_ends()))
    }
}

impl Connections {
    /// Returns an empty table that counts the connections closed to make room.
    pub fn new(dropped: IntCounter) -> Arc<Self> {
        Arc::new(Self { table: Mutex::default(), dropped })
    }

    /// Adds a connection. If there are too many, closes others whose grace has ended.
    pub async fn add(self: &Arc<Self>, peer: Peer) -> Connection {
        while let Some(grace_ends) = self.make_room() {
            tokio::time::sleep_until(grace_ends).await;
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
        table.open.insert(id, entry);
        Connection { id, peer, close, connections: Arc::clone(self) }
    }

    /// Closes connections if there are too many. Returns when to try again if all that can be closed are
    /// in their moment of grace, and these are too many, too.
    fn make_room(&self) -> Option<Instant> {
        let mut table = self.table();
        while table.open.len() >= MAX_CONNECTIONS {
            let (id, grace_ends) = table.expendable()?;
            if grace_ends > Instant::now() {
                return (table.open.len() >= MAX_IN_GRACE).then_some(grace_ends);
            }
            let expendable = table.open.remove(&id)?;
            expendable.close.cancel();
            self.dropped.inc();
            let warned = table.warned.map(|at| at.elapsed());
            if warned.is_none_or(|ago| ago > WARNING_INTERVAL) {
                table.warned = Some(Instant::now());
                warn!(
                    limit = MAX_CONNECTIONS,
                    peer = %expendable.peer.0,
                    "too many connections: closing those of the peer with the most, idle ones first"
                );
            }
        }
        None
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
        self.connections.table().open.get_mut(&self.id).map(access)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.table().open.remove(&self.id);
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
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn peer(address: &str) -> Peer {
        Peer::from(address.parse::<IpAddr>().unwrap())
    }

    fn connections() -> Arc<Connections> {
        Connections::new(IntCounter::new("dropped", "Dropped.").unwrap())
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
        let flood = open(&table, "10.0.0.2", MAX_CONNECTIONS - 2).await;
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
        let flood = open(&table, "10.0.0.2", MAX_CONNECTIONS).await;
        let mut running = Vec::new();
        for connection in flood.iter().rev() {
            running.push(connection.request());
            tokio::time::advance(SECOND).await;
        }
        let _probe = open(&table, "10.0.0.1", 1).await;
        assert_eq!(closed(&flood), [MAX_CONNECTIONS - 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_have_a_moment_to_send_their_request() {
        let table = connections();
        let mut flood = Vec::new();
        let start = Instant::now();
        for _ in 0..MAX_IN_GRACE {
            let connection = table.add(peer("10.0.0.2")).await;
            connection.is_silent();
            flood.push(Arc::new(connection));
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(closed(&flood).is_empty());
        flood[0].has_sent();
        let _more = table.add(peer("10.0.0.2")).await;
        assert_eq!(start.elapsed(), SILENT_GRACE);
        let first = 1..=MAX_IN_GRACE - MAX_CONNECTIONS + 1;
        assert_eq!(closed(&flood), first.collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_were_served_are_kept_longest() {
        let table = connections();
        let served = open(&table, "10.0.0.1", 1).await;
        served[0].request().is_served();
        let refused = open(&table, "10.0.0.1", MAX_CONNECTIONS - 1).await;
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
        let flood = open(&table, "10.0.0.2", MAX_CONNECTIONS).await;
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
