//! The least that can stand in the gateway's place: it copies bytes and looks at none.
//!
//! What it adds is the price of the place itself (two more wake-ups on another core), which no gateway can go below.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::console::say;

/// Relays a free port of the loopback address, which it prints, until it is killed.
pub(crate) fn serve(to: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        say(listener.local_addr()?);
        let connections = TaskTracker::new();
        loop {
            let (mut near, _) = listener.accept().await?;
            near.set_nodelay(true)?;
            let mut far = TcpStream::connect(to).await?;
            far.set_nodelay(true)?;
            connections.spawn(async move {
                // A side that goes away is the end of the connection and nothing else.
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    })
}
