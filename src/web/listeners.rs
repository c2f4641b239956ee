//! The sockets that are listened on.

use std::io;

use anyhow::{Context, bail};
use listenfd::ListenFd;
use tokio::net::TcpListener;

/// Where the sockets come from.
#[derive(Clone, Debug)]
pub enum Listen {
    /// `host:port` of each; without a host, all addresses.
    Addresses(Vec<String>),
    /// systemd passes them.
    Systemd,
}

impl Listen {
    /// Listens.
    pub async fn bind(&self) -> anyhow::Result<Vec<TcpListener>> {
        match self {
            Self::Addresses(addresses) => {
                let mut listeners = Vec::new();
                for address in addresses {
                    let listener = bind(address).await;
                    let listener = listener.with_context(|| format!("cannot listen on {address}"));
                    listeners.push(listener?);
                }
                Ok(listeners)
            }
            Self::Systemd => passed(),
        }
    }
}

async fn bind(address: &str) -> io::Result<TcpListener> {
    let Some(port) = address.strip_prefix(':') else {
        return TcpListener::bind(address).await;
    };
    match TcpListener::bind(format!("[::]:{port}")).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            // a host without IPv6
            TcpListener::bind(format!("0.0.0.0:{port}")).await
        }
        result => result,
    }
}

fn passed() -> anyhow::Result<Vec<TcpListener>> {
    let mut sockets = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..sockets.len() {
        let socket = sockets.take_tcp_listener(index);
        if let Some(listener) = socket.context("a socket that systemd passes is none of TCP")? {
            listener.set_nonblocking(true)?;
            listeners.push(TcpListener::from_std(listener)?);
        }
    }
    if listeners.is_empty() {
        bail!("--web.systemd-socket is set, and systemd passes no socket");
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_without_a_host_means_all_of_them() {
        let address = bind(":0").await.unwrap().local_addr().unwrap();
        assert!(
            address.ip().is_unspecified() && address.port() > 0,
            "{address}"
        );
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(address.ip().is_loopback(), "{address}");
        assert!(
            bind(&address.to_string()).await.is_err(),
            "{address} is taken"
        );
    }
}
