//! The listening sockets.

use std::io;

use anyhow::{Context, bail};
use listenfd::ListenFd;
use tokio::net::TcpListener;

/// The source of the listening sockets.
#[derive(Clone, Debug)]
pub enum Listen {
    /// Addresses of the form `host:port`. Without a host, all addresses.
    Addresses(Vec<String>),
    /// Sockets passed by systemd.
    Systemd,
}

impl Listen {
    /// Opens the sockets.
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
            Self::Systemd => passed_by_systemd(),
        }
    }
}

async fn bind(address: &str) -> io::Result<TcpListener> {
    let Some(port) = address.strip_prefix(':') else {
        return TcpListener::bind(address).await;
    };
    match TcpListener::bind(format!("[::]:{port}")).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            // the host may have no IPv6
            TcpListener::bind(format!("0.0.0.0:{port}")).await
        }
        result => result,
    }
}

fn passed_by_systemd() -> anyhow::Result<Vec<TcpListener>> {
    let mut sockets = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..sockets.len() {
        let socket = sockets.take_tcp_listener(index);
        if let Some(listener) = socket.context("a socket passed by systemd is not a TCP socket")? {
            listener.set_nonblocking(true)?;
            listeners.push(TcpListener::from_std(listener)?);
        }
    }
    if listeners.is_empty() {
        bail!("--web.systemd-socket is set, but systemd passed no socket");
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_without_a_host_means_all_addresses() {
        let address = bind(":0").await.unwrap().local_addr().unwrap();
        assert!(address.ip().is_unspecified() && address.port() > 0, "{address}");
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(address.ip().is_loopback(), "{address}");
        assert!(bind(&address.to_string()).await.is_err(), "{address} is in use");
    }
}
